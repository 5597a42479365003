"""DELETE of a pool in whatever state: running, remembered, failed, or gone a moment ago."""

from __future__ import annotations

from backy_core.operations.records import Operation
from backy_core.pools.core import Core
from backy_core.pools.create import KIND as CREATE
from backy_core.pools.teardown import PoolTeardown
from backy_core.pools.viewing import DELETE, PoolViewer
from backy_core.pools.views import PoolState
from backy_core.sdk.errors import NotFound, UndoFailed


class PoolRemoval:
    def __init__(self, core: Core, teardown: PoolTeardown) -> None:
        self._core = core
        self._teardown = teardown
        self._viewer = PoolViewer(core)

    async def prepare(self, guid: str) -> Operation | None:
        """Cancel a running creation and wait until it is undone.

        Returns the earlier delete if the pool was deleted a moment ago; raises
        :class:`NotFound` for a pool nobody knows.
        """
        running = self._core.registry.running_on(guid)
        if running is not None and running.kind == CREATE:
            running.cancel_requested.set()
            await running.ended()
        state = self._viewer.state(guid)
        if state is PoolState.DELETED:
            return next(
                op for op in reversed(self._core.registry.of_pool(guid)) if op.kind == DELETE
            )
        if state is None:
            raise NotFound(f"There is no pool {guid}")
        return None

    async def run(self, op: Operation, guid: str) -> None:
        """The body of a delete."""
        if self._core.metadata.get(guid) is not None:
            await self._teardown.run(op, guid)
            return
        op.accept()
        for entry in self._core.pending_of(guid):
            leftovers = await self._core.undo(op, entry, "the pool is deleted")
            if not leftovers.clean:
                raise UndoFailed(
                    "The failed creation could not be undone yet",
                    cause=entry.stuck.reason if entry.stuck else "it was interrupted",
                    details=str(leftovers),
                )
            await self._core.settle(entry)
        await self._core.observer.refresh()
        for record in self._core.registry.of_pool(guid):
            if record is not op and not record.running:
                self._core.registry.discard(record)
