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


class PoolChange(Model):
    """Two successive reports of one pool that differ. At most one of them is None."""

    backend: str
    seen_at: datetime
    """When the agent noticed."""
    before: PoolReport | None
    """None: the pool was not there."""
    after: PoolReport | None
    """None: the pool is no longer there."""
