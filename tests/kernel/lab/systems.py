"""The systems a guest can be: this machine's own, or a Debian suite kept in the environment."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

SUITES = ("bookworm", "trixie", "forky")
"""Debian 12, 13 and testing; their User Mode Linux is 6.1, 6.12 and 7.2."""

_ENVIRONMENT = Path(sys.prefix).resolve()


@dataclass(frozen=True)
class System:
    """A userland with a User Mode Linux kernel; `suite` is empty for this machine's own."""

    suite: str = ""

    @property
    def root(self) -> Path:
        """Its root directory on the host."""
        return _ENVIRONMENT / "suites" / self.suite if self.suite else Path("/")

    @property
    def python(self) -> str:
        """The interpreter that can import the agent, as the guest sees it."""
        return "/usr/bin/python3" if self.suite else str(_ENVIRONMENT / "bin/python")

    @property
    def python_outside(self) -> str:
        """The same interpreter as a program of the host's."""
        return str(self.root / "python-outside") if self.suite else self.python

    @property
    def stamp(self) -> Path:
        """A file that is there once a suite is complete."""
        return self.root / ".complete"


def chosen() -> System:
    """The system that the environment selects; tests and demo run on it."""
    return System(os.environ.get("BACKY_TEST_SUITE", ""))
