"""The first command of the README, as a newcomer runs it."""

import subprocess
import sys

from .lab.state import REPOSITORY


def test_the_demo_goes_through_the_life_of_a_pool() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.kernel.demo", "--once"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    assert "Every step came out as documented" in done.stdout
