"""Skip the kernel tests on a machine that cannot run guests, with one reason, given once.

`tests/kernel/conftest.py` marks and skips; the line at the end needs `pytest_terminal_summary` in
`tests/conftest.py`, for with pytest-xdist the process that prints never loads this folder's.
"""

import functools
import os

import pytest

from .lab import requirements
from .lab.errors import LabUnavailable
from .lab.systems import chosen


@functools.cache
def why_unavailable() -> str:
    """One sentence, empty where guests can run."""
    try:
        requirements.check(chosen())
    except LabUnavailable as error:
        return str(error)
    return ""


def required() -> bool:
    """Whether a skip would hide something: in CI, or when asked not to."""
    return os.environ.get("CI") == "true" or os.environ.get("BACKY_REQUIRE_KERNEL") == "1"


def thorough() -> bool:
    """`make test-all`: nothing is left out that another test proves in much the same way."""
    return os.environ.get("BACKY_TEST_THOROUGH") == "1"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many kernel tests were skipped and how to get them."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = [report.longrepr[2] for report in skipped if isinstance(report.longrepr, tuple)]
    ours = [reason for reason in reasons if reason.startswith("Skipped: The lab needs")]
    if ours:
        why = ours[0].removeprefix("Skipped: ")
        terminalreporter.write_line(f"{len(ours)} kernel tests skipped: {why}", yellow=True)
