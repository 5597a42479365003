"""How the tests are spread over workers."""

import subprocess
import sys
from pathlib import Path

_TESTS = """
import os, time, pytest

@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(6))
def test_group(number):
    time.sleep(0.1)
    print("ran on", os.environ["PYTEST_XDIST_WORKER"])
"""


def test_tests_that_share_a_guest_stay_on_one_worker(tmp_path: Path) -> None:
    """Every worker that gets one of a module's tests boots a guest of its own."""
    (tmp_path / "test_group.py").write_text(_TESTS)
    options = ["-p", "no:cacheprovider", "-n", "2", "--dist", "loadgroup", "-rP"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "test_group.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    ran = [line for line in done.stdout.splitlines() if line.startswith("ran on gw")]
    assert len(ran) == 6 and len(set(ran)) == 1
