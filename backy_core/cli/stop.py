"""The end of a command before it did its work."""

from __future__ import annotations

from backy_core.cli.exits import Exit


class Stop(Exception):
    """``message`` is one sentence; ``advice`` says what to do."""

    def __init__(self, message: str, *advice: str, status: Exit = Exit.USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.status = status
