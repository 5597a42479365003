"""The record of one operation, while it runs and after it ended."""

from __future__ import annotations

import asyncio
import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from backy_core.operations.kinds import OperationKind
from backy_core.operations.outputs import OutputLog
from backy_core.sdk.advice import Text, plain
from backy_core.sdk.errors import BackyError, Cancelled
from backy_core.sdk.events import OperationOutcome, OperationRecord
from backy_core.store.changes import Changes
from backy_core.system.clock import Clock


class OperationState(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


_OUTCOMES: dict[OperationState, OperationOutcome] = {
    OperationState.SUCCEEDED: "succeeded",
    OperationState.FAILED: "failed",
    OperationState.CANCELLED: "cancelled",
}


class Progress(NamedTuple):
    """Step ``step`` of ``steps``; ``percent`` never goes down and is 100 only at success."""

    step: int = 0
    steps: int = 0
    title: str = ""
    percent: int = 0


class Operation:
    """One piece of work on one pool.

    It lives in the registry's task, never in a request's. ``accepted`` ends when admission
    succeeded (the work will be done, whatever happens to the client) or failed (then the
    operation never existed).
    """

    def __init__(
        self,
        kind: OperationKind,
        guid: str,
        fingerprint: str,
        clock: Clock,
        *,
        label: str = "",
        max_lines: int = 2000,
        changes: Changes | None = None,
    ) -> None:
        self._clock = clock
        self._changes = changes or Changes()
        self.id = str(uuid.uuid4())
        self.kind = kind
        self.guid = guid
        self.label = label
        """The pool's, for listeners."""
        self.fingerprint = fingerprint
        self.state = OperationState.RUNNING
        self.progress = Progress()
        self.started_at = self._clock.now()
        self.finished_at: datetime | None = None
        self.error: BackyError | None = None
        self.message: Text | None = None
        """A sentence beside success, e.g. which drives were absent."""
        self.outputs = OutputLog(max_lines, self._changes)
        self.outputs_read_at: datetime | None = None
        self.subject: Any = None
        """What the use case wants to remember: the request of a creation, a deleted label."""
        self.earlier_state: str | None = None
        """The pool's state when this was accepted; it stays until the operation commits."""
        self.cancel_requested = asyncio.Event()
        self.cancellable = True
        self.recovers = False
        """It settles what an operation of an earlier run left."""
        self.interrupted = False
        """Cancelled because the agent stops: the next start tells its outcome."""
        self._accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ended = asyncio.Event()

    @property
    def running(self) -> bool:
        return self.state is OperationState.RUNNING

    @property
    def is_accepted(self) -> bool:
        return self._accepted.done() and self._accepted.exception() is None

    @property
    def error_message(self) -> Text | None:
        return self.error.explained if self.error else None

    def accept(self) -> None:
        """Admission is over: from here on the work is promised."""
        if not self._accepted.done():
            self._accepted.set_result(None)
            self._changes.tell()

    def refuse(self, error: BaseException) -> None:
        """Admission failed with ``error``; everyone who waits gets it."""
        if not self._accepted.done():
            self._accepted.set_exception(error)
            self._accepted.exception()  # nobody may be waiting; that is no defect

    async def accepted(self) -> None:
        """Wait for the end of admission; raises what refused it."""
        await asyncio.shield(self._accepted)

    def report(self, step: int, steps: int, title: str) -> None:
        """Step ``step`` (from 1) of ``steps`` begins."""
        percent = min(99, max(self.progress.percent, 100 * (step - 1) // max(steps, 1)))
        self.progress = Progress(step, steps, title, percent)
        self._changes.tell()

    def check_cancelled(self) -> None:
        """A safe point: raises :class:`Cancelled` if someone asked for it."""
        if self.cancel_requested.is_set():
            raise Cancelled("The operation was cancelled")

    def finish(self, error: BackyError | None) -> None:
        self.error = error
        self.finished_at = self._clock.now()
        if error is None:
            self.state = OperationState.SUCCEEDED
            done = self.progress
            self.progress = Progress(done.steps, done.steps, done.title, 100)
        elif isinstance(error, Cancelled):
            self.state = OperationState.CANCELLED
        else:
            self.state = OperationState.FAILED
        self._ended.set()
        self._changes.tell()

    def record(self) -> OperationRecord:
        """What listeners are told once it has ended."""
        assert self.finished_at is not None
        return OperationRecord(
            id=self.id,
            kind=self.kind,
            pool_guid=self.guid,
            pool_label=self.label,
            outcome=_OUTCOMES[self.state],
            started_at=self.started_at,
            finished_at=self.finished_at,
            step=self.progress.step,
            steps=self.progress.steps,
            step_title=self.progress.title,
            error_code=self.error.code if self.error else None,
            error_message=plain(self.error_message),
            hint=plain(self.error.hint) if self.error else None,
            note=plain(self.message),
            recovery=self.recovers,
        )

    async def wait(self) -> None:
        """Wait for the end; raises the operation's error."""
        await self.accepted()
        await self._ended.wait()
        if self.error is not None:
            raise self.error

    async def ended(self) -> None:
        """Wait for the end, however it ended."""
        await self._ended.wait()
