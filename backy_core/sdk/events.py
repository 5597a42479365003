"""What listeners are told, after the fact.

Records are frozen copies: a listener can keep one for as long as it likes, and nothing it does
with one reaches the agent.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from backy_core.sdk.models import Model, PoolReport

OperationOutcome = Literal["succeeded", "failed", "cancelled"]


class OperationRecord(Model):
    """One operation that has ended."""

    id: str
    kind: str
    """The word that the list of operations shows."""
    pool_guid: str
    pool_label: str
    """The pool's label when the operation started; empty if the agent does not remember it."""
    outcome: OperationOutcome
    started_at: datetime
    finished_at: datetime
    step: int
    """The last step that began, counted from 1; 0 if none did."""
    steps: int
    step_title: str
    error_code: str | None = None
    """A code of ``docs/errors.md``; None if it succeeded."""
    error_message: str | None = None
    hint: str | None = None
    """What to do about the error, if that is known; requests are named by verb and subject."""
    note: str | None = None
    """A sentence beside success, such as which drives were absent."""
    recovery: bool = False
    """It settled what an earlier run of the agent left unfinished."""


class PoolDrive(Model):
    """A drive that belongs to a pool, whether or not it is connected."""

    serial: str
    size: int | None = None
    """Bytes; None if the agent has not seen the drive yet."""
    model: str | None = None
    """None if it is not known, as of a drive that was absent at the agent's start."""
    label: str = ""
    """The administrator's name for it."""


class RememberedPool(Model):
    """A pool as the agent remembers it."""

    guid: str
    label: str
    should_be_mounted: bool
    busy: bool
    """An operation works on the pool, or the agent has yet to open it: its report may be that of a
    passing state."""
    drives: tuple[PoolDrive, ...]
    """Its members, without those that another drive replaces."""


class PoolChange(Model):
    """Two successive reports of one pool that differ."""

    backend: str
    seen_at: datetime
    """When the agent noticed."""
    before: PoolReport | None
    """None: the pool was not there."""
    after: PoolReport | None
    """None: the pool is no longer there."""
    pool: RememberedPool | None = None
    """None: a pool that the agent does not remember, such as one that was not imported or whose
    creation has not ended."""


class TargetAnswer(Model):
    """The answer of one target to a test message."""

    target: str
    """A name that gives no secret away."""
    delivered: bool
    reason: str | None = None
    """Why it was not delivered, in one sentence without secrets."""
