"""The outcome of running a program, and the error it becomes."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterable
from dataclasses import dataclass

from backy_core.sdk.errors import SystemFailure
from backy_core.system.text import sanitise

_SHOWN_LINES = 5


@dataclass(frozen=True, repr=False)
class Outcome:
    """One finished program. ``seconds`` is wall-clock time."""

    argv: tuple[str, ...]
    code: int | None
    """Exit status; negative: the signal that ended it; None: timed out or never started."""
    stdout: str
    stderr: str
    seconds: float
    timed_out: bool = False

    @property
    def sentence(self) -> str:
        """``mdadm exited with status 1 after 0.2 s``."""
        return f"{self.argv[0]} {self._ending()} after {self.seconds:.1f} s"

    def says(self, words: Iterable[str]) -> bool:
        """Whether one of these is in what it printed."""
        return any(word in text for word in words for text in (self.stdout, self.stderr))

    @property
    def last_words(self) -> str | None:
        """The first and last lines of stderr, or else of stdout, for people.

        mkfs.xfs gives its reason first and its whole usage after it; mdadm gives it last.
        """
        for text in (self.stderr, self.stdout):
            lines = [line.strip() for line in sanitise(text).splitlines() if line.strip()]
            if lines:
                return "; ".join(_ends(lines))
        return None

    def __repr__(self) -> str:
        return f"<{shlex.join(self.argv)}: {self.sentence}>"

    def _ending(self) -> str:
        if self.timed_out:
            return "did not end in time and was stopped"
        if self.code is None:
            return "could not be started"
        if self.code < 0:
            return f"was ended by {_signal_name(-self.code)}"
        return "succeeded" if self.code == 0 else f"exited with status {self.code}"


class CommandFailed(SystemFailure):
    """A program failed, timed out, or is not installed.

    ``final``: trying again would fail in the same way.
    """

    def __init__(
        self, message: str, outcome: Outcome, *, hint: str | None = None, final: bool = False
    ) -> None:
        super().__init__(message, details=outcome.last_words, hint=hint)
        self.outcome = outcome
        self.final = final


def _ends(lines: list[str]) -> list[str]:
    if len(lines) <= _SHOWN_LINES:
        return lines
    return [*lines[:2], "…", *lines[-2:]]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
