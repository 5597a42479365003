"""Exit statuses: those of ``sysexits.h``, which systemd shows by name."""

from __future__ import annotations

from enum import IntEnum

from backy_core.config.errors import ConfigurationError
from backy_core.sdk.advice import Text
from backy_core.sdk.errors import BackyError


class Exit(IntEnum):
    """How ``backy`` ends, and what that means."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> Exit:
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    OK = 0, "stopped orderly, or printed what was asked for"
    FAILURE = 1, "something unexpected; the log has it"
    USAGE = 2, "the command line cannot be understood"
    UNAVAILABLE = 69, "the address cannot be listened on: the port is in use, say"
    BUSY = 75, "another agent uses the state directory"
    PERMISSION = 77, "not root"
    CONFIG = (
        78,
        "a setting or the API key cannot be used, or others may change a file or directory of the "
        "agent; the message names it",
    )


class StartRefused(BackyError):
    """The agent cannot start; ``status`` is what the process ends with."""

    code = "START_REFUSED"

    def __init__(self, message: str, status: Exit, *, hint: Text | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


def status_of(error: BackyError) -> Exit:
    """The exit status for a failure."""
    if isinstance(error, StartRefused):
        return error.status
    return Exit.CONFIG if isinstance(error, ConfigurationError) else Exit.FAILURE
