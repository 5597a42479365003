"""Give up a creation that failed or was interrupted: the deletion of a pool that never was one."""

from __future__ import annotations

from backy_core.operations.journal import JournalEntry
from backy_core.operations.records import Operation
from backy_core.pools.core import Core
from backy_core.pools.lifecycle.contents import PoolContents, erase, keep_or_erase
from backy_core.pools.reading.members import Consent
from backy_core.sdk.errors import BackyError, Conflict, UndoFailed
from backy_core.sdk.models import DriveId
from backy_core.store.tombstones import Tombstone


async def abandon(core: Core, op: Operation, guid: str, consent: Consent) -> None:
    """Roll back what is pending of the creation, and forget its records.

    Raises :class:`Conflict`, without ``consent.wipe``, if the pool has been used since.
    """
    pending = core.pending_of(guid)
    if not consent.wipe:
        for entry in pending:
            await _refuse_used(core, op, entry)
    op.accept()
    for entry in pending:
        leftovers = await core.undo(op, entry, "the pool is deleted")
        if leftovers.absent and not (leftovers.drives or leftovers.pool):
            await _remember_absent(core, op, entry, leftovers.absent)
        elif not leftovers.clean:
            raise UndoFailed(
                "The failed creation could not be rolled back yet",
                details=str(leftovers),
            )
        await core.settle(entry)
    await core.observer.refresh()
    _forget_records(core, op, guid)


async def _refuse_used(core: Core, op: Operation, entry: JournalEntry) -> None:
    """The request is about what a creation left, not about what came after it."""
    if not entry.plan.new_pool:
        return
    guid = entry.plan.pool.guid
    try:
        held = await PoolContents(core).foreign(op, entry)
    except BackyError as error:
        if entry.undoing or not entry.is_of_earlier_run:
            return
        raise Conflict(
            f"Pool {guid} cannot be inspected, and may hold data",
            details=str(error),
            hint=erase(guid),
        ) from error
    if held is not None:
        raise Conflict(
            f"Pool {guid} {held}: its creation was interrupted, and it has been used since",
            hint=keep_or_erase(guid),
        )


async def _remember_absent(
    core: Core, op: Operation, entry: JournalEntry, absent: tuple[DriveId, ...]
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
        deleted_at=core.clock.now(),
    )
    await core.tombstones.put(stone)
    names = ", ".join(drive.serial for drive in absent)
    op.message = f"Drives that are not connected were not wiped: {names}"


def _forget_records(core: Core, op: Operation, guid: str) -> None:
    for record in core.registry.of_pool(guid):
        if record is not op and not record.running:
            core.registry.discard(record)
