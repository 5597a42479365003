"""All expected failures, as one tree.

Each class carries a stable ``code`` (part of the HTTP contract), a one-sentence ``message`` that
an administrator can act on, and optionally ``details`` (what was seen) and a ``hint`` (what to
do). HTTP turns ``code`` into a status, the command line into an exit status.
A request for a state that already holds succeeds; it never raises.
"""

from __future__ import annotations

from typing import ClassVar

from backy_core.sdk.advice import Text


class BackyError(Exception):
    """Base of every expected failure."""

    code: ClassVar[str] = "INTERNAL_ERROR"

    def __init__(
        self, message: str, *, details: str | None = None, hint: Text | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.hint = hint

    @property
    def explained(self) -> Text:
        """What went wrong and what was seen, for those who learn of it later."""
        return ": ".join(part for part in (self.message, self.details) if part)

    def __str__(self) -> str:
        return str(self.explained)


class InvalidRequest(BackyError):
    """The request can never succeed as written."""

    code = "VALIDATION_ERROR"


class NotFound(BackyError):
    """The pool, drive, operation or mount does not exist."""

    code = "NOT_FOUND"


class Conflict(BackyError):
    """Another operation or state stands in the way right now."""

    code = "CONFLICT"


class DriveInUse(BackyError):
    """The drive is mounted, held, claimed, a member of a pool, or quarantined."""

    code = "DRIVE_IN_USE"


class DriveNotEmpty(BackyError):
    """The drive holds data and the request does not consent to wipe it."""

    code = "DRIVE_NOT_EMPTY"


class DriveProtected(BackyError):
    """The drive is protected, excluded or the system's own."""

    code = "DRIVE_PROTECTED"


class PoolBusy(BackyError):
    """The pool's mount is in use; ``details`` names the processes.

    ``message`` contains ``target is busy``: clients match these words.
    """

    code = "POOL_BUSY"


class SystemFailure(BackyError):
    """A system command failed, or it did not bring about the outcome that the plan promised."""

    code = "SYSTEM_ERROR"


class UndoFailed(SystemFailure):
    """A roll-back could not restore clean drives."""


class Cancelled(SystemFailure):
    """The operation was cancelled and rolled back."""


class PlanRefused(SystemFailure):
    """A backend's plan breaks a rule of the plan model; nothing was run."""


class BackendFailure(SystemFailure):
    """A backend raised, hung or lied in a hook."""


class ShuttingDown(BackyError):
    """The agent is stopping and takes no new work."""

    code = "SHUTTING_DOWN"
