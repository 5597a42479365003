"""The backend's plans and reports on a real kernel, in a lab guest.

Inside, ``guest/scenarios.py`` runs; it fails at the first report that is not as expected.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCENARIOS = "plugins.mdadm.tests.guest.scenarios"
UNAVAILABLE = 69


@pytest.mark.kernel
@pytest.mark.parametrize("names", [("levels",), ("members", "apart", "leftovers")], ids="+".join)
def test_on_a_real_kernel(names: tuple[str, ...]) -> None:
    drives = [f"--drive=drive-scsi{number}=128M" for number in range(1, 5)]
    path = f"PYTHONPATH={ROOT}:{ROOT / 'plugins' / 'mdadm'}"
    inside = ["env", path, sys.executable, "-m", SCENARIOS, *names]
    lab = [sys.executable, "-m", "tests.kernel.lab", "run", *drives, "--timeout", "400"]
    raid6 = ["--raid6"] if "levels" in names else []
    done = subprocess.run(
        [*lab, *raid6, "--", *inside],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == UNAVAILABLE and not _required():
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr


def _required() -> bool:
    return os.environ.get("CI") == "true" or os.environ.get("BACKY_REQUIRE_KERNEL") == "1"
