"""The running and the remembered operations. It owns their tasks.

An operation is registered before admission starts, so that a repeated request joins the running
admission instead of racing it. If admission fails, the operation is dropped.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager

from backy_core.operations.claims import Claim, Claims
from backy_core.operations.kinds import OperationKind
from backy_core.operations.records import Operation
from backy_core.operations.retention import Limits, review
from backy_core.sdk.errors import BackyError, Conflict, NotFound, ShuttingDown, SystemFailure
from backy_core.store.changes import Changes
from backy_core.system.clock import Clock

log = logging.getLogger(__name__)

Body = Callable[[Operation], Awaitable[None]]
_SWEEP_S = 5.0


class OperationRegistry:
    def __init__(
        self,
        limits: Limits,
        clock: Clock,
        *,
        max_lines: int = 2000,
        changes: Changes | None = None,
    ) -> None:
        self._changes = changes or Changes()
        self.claims = Claims()
        self._reserved = Counter[str]()
        self._limits = limits
        self._clock = clock
        self._max_lines = max_lines
        self._operations: dict[str, Operation] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopping = False
        self._listeners: list[Callable[[Operation], None]] = []

    def on_finished(self, listener: Callable[[Operation], None]) -> None:
        self._listeners.append(listener)

    def start(
        self,
        kind: OperationKind,
        guid: str,
        fingerprint: str,
        claims: Iterable[Claim],
        body: Body,
        *,
        label: str = "",
        cancellable: bool = True,
    ) -> Operation:
        """Start ``body`` in a task of its own, or join the same operation if it is running.

        Raises :class:`Conflict` or :class:`DriveInUse` on a clash, :class:`ShuttingDown` at
        the end of the agent's life.
        """
        running = self.running_on(guid)
        if running is not None and (running.kind, running.fingerprint) == (kind, fingerprint):
            return running
        if self._stopping:
            raise ShuttingDown("The agent is stopping", hint="Try again in a moment")
        if running is not None:
            raise Conflict(
                f"Pool {guid} is being worked on: {running.kind} is running",
                hint=f"Wait for operation {running.id} to end",
            )
        op = Operation(
            kind,
            guid,
            fingerprint,
            self._clock,
            label=label,
            max_lines=self._max_lines,
            changes=self._changes,
        )
        op.cancellable = cancellable
        self.claims.take(op.id, [Claim("pool", guid), *claims])
        self._operations[op.id] = op
        self._tasks[op.id] = asyncio.create_task(self._run(op, body), name=f"{kind} {guid}")
        return op

    async def _run(self, op: Operation, body: Body) -> None:
        error: BackyError | None = None
        try:
            await body(op)
        except BackyError as problem:
            error = problem
        except asyncio.CancelledError:
            error = SystemFailure("The agent stopped while this operation was running")
        except Exception as problem:
            log.exception(
                "Operation %s (%s of pool %s) failed with an internal error",
                op.id,
                op.kind,
                op.guid,
            )
            error = SystemFailure(
                "The operation failed because of an internal error", details=repr(problem)
            )
        self._end(op, error)

    def _end(self, op: Operation, error: BackyError | None) -> None:
        self._tasks.pop(op.id, None)
        self.claims.release(op.id)
        if not op.is_accepted and error is not None:
            self._operations.pop(op.id, None)
            op.refuse(error)
            op.finish(error)
            return
        op.accept()
        op.finish(error)
        level = logging.INFO if error is None else logging.ERROR
        log.log(
            level, "%s of pool %s %s%s", op.kind, op.guid, op.state, f": {error}" if error else ""
        )
        for listener in self._listeners:
            listener(op)
        self.prune()

    @contextmanager
    def reserved(self, guid: str) -> Iterator[None]:
        """Keep operations from starting on this pool. Raises :class:`Conflict` if one is running:
        at its end it would overwrite the caller's change. Several callers may hold it at once."""
        self.refuse_busy(guid)
        owner = f"what is remembered of {guid}"
        self.claims.take(owner, [Claim("pool", guid)])
        self._reserved[guid] += 1
        try:
            yield
        finally:
            self._reserved[guid] -= 1
            if not self._reserved[guid]:
                self.claims.release(owner)

    def refuse_busy(self, guid: str) -> None:
        """Raise :class:`Conflict` if an operation works on this pool."""
        running = self.running_on(guid)
        if running is not None:
            raise Conflict(f"Pool {guid} is being worked on: {running.kind} is running")

    def running_on(self, guid: str) -> Operation | None:
        return next(
            (op for op in self._operations.values() if op.guid == guid and op.running), None
        )

    def busy_pools(self) -> frozenset[str]:
        """GUIDs of the pools that an operation works on."""
        return frozenset(self._operations[op_id].guid for op_id in self._tasks)

    def of_pool(self, guid: str) -> tuple[Operation, ...]:
        """This pool's accepted operations, newest last."""
        return tuple(op for op in self._operations.values() if op.guid == guid and op.is_accepted)

    def all(self) -> tuple[Operation, ...]:
        return tuple(op for op in self._operations.values() if op.is_accepted)

    def get(self, operation_id: str) -> Operation:
        op = self._operations.get(operation_id)
        if op is None or not op.is_accepted:
            raise NotFound(f"There is no operation {operation_id}")
        return op

    def cancel(self, operation_id: str) -> Operation:
        """Request a stop at the next safe point and a roll-back. No-op if it has ended."""
        op = self.get(operation_id)
        if op.running and not op.cancellable:
            raise Conflict(
                f"A running {op.kind} cannot be cancelled",
                hint="It can only be completed; wait for it to end",
            )
        op.cancel_requested.set()
        return op

    def forget(self, operation_id: str) -> None:
        op = self.get(operation_id)
        if op.running:
            raise Conflict(f"Operation {op.id} is still running", hint="Cancel it first")
        self.discard(op)

    def discard(self, op: Operation) -> None:
        self._operations.pop(op.id, None)
        self._changes.tell()

    def mark_read(self, op: Operation) -> None:
        """The last line of an ended operation was read; its grace period starts."""
        if not op.running and op.outputs_read_at is None:
            op.outputs_read_at = self._clock.now()

    def prune(self) -> None:
        verdict = review(tuple(self._operations.values()), self._clock.now(), self._limits)
        for operation_id in verdict.forget:
            self.discard(self._operations[operation_id])
        for operation_id in verdict.drop_outputs:
            self._operations[operation_id].outputs.drop()

    async def run_sweeper(self) -> None:
        """Forget what has expired, for as long as the agent lives."""
        while True:
            await self._clock.beat(_SWEEP_S)
            self.prune()

    async def shutdown(self, grace_s: float) -> None:
        """Take no new work; let running work end, then cancel it, all within ``grace_s``.

        What is still running then is left to the journal and the next start.
        """
        self._stopping = True
        if not await self._drain(grace_s / 2):
            for op in self._operations.values():
                if op.running and op.cancellable:
                    op.interrupted = True
                    op.cancel_requested.set()
            await self._drain(grace_s / 2)

    async def _drain(self, seconds: float) -> bool:
        tasks = set(self._tasks.values())
        if not tasks:
            return True
        _, pending = await asyncio.wait(tasks, timeout=seconds)
        return not pending
