"""Why the agent does not start."""

from __future__ import annotations

from backy_core.cli.exits import Exit
from backy_core.config.errors import ConfigurationError
from backy_core.sdk.advice import Text
from backy_core.sdk.errors import BackyError


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
