"""The deletion of a pool in whatever state: running, remembered, failed, or gone a moment ago."""

from __future__ import annotations

from backy_core.operations.journal import JournalEntry
from backy_core.operations.kinds import OperationKind
from backy_core.operations.records import Operation
from backy_core.pools.core import Core
from backy_core.pools.lifecycle.contents import PoolContents, erase, keep_or_erase
from backy_core.pools.lifecycle.teardown import PoolTeardown, entry_of
from backy_core.pools.reading.members import NOTHING, Consent
from backy_core.pools.reading.viewing import PoolViewer
from backy_core.pools.views import PoolState
from backy_core.sdk.errors import BackyError, Conflict, NotFound, UndoFailed
from backy_core.sdk.models import DriveId
from backy_core.store.tombstones import Tombstone


class PoolRemoval:
    def __init__(self, core: Core, teardown: PoolTeardown) -> None:
        self._core = core
        self._teardown = teardown
        self._viewer = PoolViewer(core)
        self._contents = PoolContents(core)

    async def prepare(self, guid: str) -> Operation | None:
        """Cancel a running creation and wait until it is rolled back.

        Returns the earlier delete if the pool was just deleted; raises :class:`NotFound` for an
        unknown pool.
        """
        running = self._core.registry.running_on(guid)
        if running is not None and running.kind is OperationKind.CREATE:
            running.cancel_requested.set()
            await running.ended()
        if self._returned(guid) is not None:
            return None
        state = self._viewer.state(guid)
        if state is PoolState.DELETED:
            return next(
                op
                for op in reversed(self._core.registry.of_pool(guid))
                if op.kind is OperationKind.DELETE
            )
        if state is None:
            raise NotFound(f"There is no pool {guid}")
        return None

    async def run(self, op: Operation, guid: str, consent: Consent = NOTHING) -> None:
        """The body of a delete."""
        if self._core.metadata.get(guid) is not None:
            await self._teardown.run(op, guid, consent)
            return
        if (stone := self._returned(guid)) is not None:
            await self._teardown.wipe_returned(op, stone, consent)
            return
        pending = self._core.pending_of(guid)
        if not consent.wipe:
            for entry in pending:
                await self._refuse_used(op, entry)
        op.accept()
        for entry in pending:
            leftovers = await self._core.undo(op, entry, "the pool is deleted")
            if leftovers.absent and not (leftovers.drives or leftovers.pool):
                await self._remember_absent(op, entry, leftovers.absent)
            elif not leftovers.clean:
                raise UndoFailed(
                    "The failed creation could not be undone yet",
                    cause=entry.stuck.reason if entry.stuck else "it was interrupted",
                    details=str(leftovers),
                )
            await self._core.settle(entry)
        await self._core.observer.refresh()
        self._forget_records(op, guid)

    async def _refuse_used(self, op: Operation, entry: JournalEntry) -> None:
        """The request is about what a creation left, not about what came after it."""
        if entry.plan.kind != "create":
            return
        guid = entry.plan.pool.guid
        try:
            held = await self._contents.foreign(op, entry)
        except BackyError as error:
            if entry.undoing or not entry.is_of_earlier_run:
                return
            raise Conflict(
                f"Pool {guid} cannot be looked into, and may hold data",
                details=str(error),
                hint=erase(guid),
            ) from error
        if held is not None:
            raise Conflict(
                f"Pool {guid} {held}: its creation was interrupted, and it has been used since",
                hint=keep_or_erase(guid),
            )

    def _returned(self, guid: str) -> Tombstone | None:
        """The tombstone of a pool that is still on drives that were absent at its deletion."""
        core = self._core
        stone = core.tombstones.get(guid)
        if stone is None or core.metadata.get(guid) is not None or core.pending_of(guid):
            return None
        report = core.find_report(entry_of(stone))
        return stone if report and report.drives else None

    async def _remember_absent(
        self, op: Operation, entry: JournalEntry, absent: tuple[DriveId, ...]
    ) -> None:
        """A drive that may never return must not keep the creation from being given up."""
        plan = entry.opened.plan
        stone = Tombstone(
            guid=plan.pool.guid,
            backend=plan.backend,
            label=plan.pool.label,
            level=plan.pool.level,
            filesystem=plan.pool.filesystem,
            drives=absent,
            members=plan.drives,
            stamps=plan.stamps,
            enclosing=plan.enclosing,
            deleted_at=self._core.clock.now(),
        )
        await self._core.tombstones.add(stone)
        names = ", ".join(drive.serial for drive in absent)
        op.message = f"Drives that are not connected were not wiped: {names}"

    def _forget_records(self, op: Operation, guid: str) -> None:
        for record in self._core.registry.of_pool(guid):
            if record is not op and not record.running:
                self._core.registry.discard(record)
