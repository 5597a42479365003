"""Deleting a pool: unmount, wipe its content, release it, wipe every member, forget it.

Goes forward: an interrupted teardown is planned again from what is seen and finished.
"""

from __future__ import annotations

from datetime import UTC, datetime

from backy_core.drives import Drive, names_of
from backy_core.operations.journal import Commit, Done, JournalEntry, Planned
from backy_core.operations.records import Operation
from backy_core.pools import steps
from backy_core.pools.busy import refuse_busy
from backy_core.pools.closing import PoolClosing
from backy_core.pools.core import Core, compose, expected, spec_of
from backy_core.pools.metadata import PoolEntry
from backy_core.pools.pool_mounts import own_mounts
from backy_core.pools.tombstones import Tombstone
from backy_core.sdk.errors import (
    BackyError,
    Conflict,
    DriveInUse,
    DriveNotEmpty,
    DriveProtected,
    SystemFailure,
)
from backy_core.sdk.models import DriveId, PoolReport, SignatureMatch
from backy_core.sdk.plan import Plan, Step
from backy_core.snapshot import Snapshot

_ROUNDS = 3


class PoolTeardown:
    def __init__(self, core: Core, closing: PoolClosing) -> None:
        self._core = core
        self._closing = closing

    async def run(self, op: Operation, guid: str) -> None:
        """The body of a delete of a remembered pool."""
        core = self._core
        entry = core.entry(guid)
        snapshot = await core.observer.refresh()
        self._refuse_unsafe(entry, snapshot)
        plan = await self._plan(entry, snapshot)
        _refuse_shared(entry, plan, snapshot)
        await refuse_busy(core, entry)
        older = core.pending_of(guid)
        journal = await core.open_journal(op, plan, {"label": entry.label})
        for interrupted in older:  # is finished by this one
            await core.settle(interrupted)
        try:
            core.metadata.put(entry.model_copy(update={"is_mounted": False}))
            await self._finish(op, journal, entry, plan)
        except Exception as problem:
            error = expected(problem)
            if any(each.began("destroys") for each in older) or _wiped(journal, problem):
                await core.keep(journal, str(error), {})
            else:  # the pool is as it was; a deletion that failed must not go on by itself
                await core.settle(journal)
                core.metadata.put(entry)
            raise await self._closing.explained(entry, error) from problem

    async def wipe_returned(self, op: Operation, stone: Tombstone) -> None:
        """The body of a repeated delete: wipe drives that were absent the first time."""
        core = self._core
        entry = entry_of(stone)
        snapshot = await core.observer.refresh()
        self._refuse_unsafe(entry, snapshot)
        plan = await self._plan(entry, snapshot)
        _refuse_shared(entry, plan, snapshot)
        await refuse_busy(core, entry)
        journal = await core.open_journal(op, plan, {"label": stone.label})
        try:
            await self._finish(op, journal, entry, plan)
        except Exception as problem:  # the tombstone stays, and with it the way to try again
            await core.settle(journal)
            raise await self._closing.explained(entry, expected(problem)) from problem

    async def _finish(
        self, op: Operation, journal: JournalEntry, entry: PoolEntry, plan: Plan
    ) -> None:
        """Run ``plan``, look again until nothing of the pool is left, and commit."""
        core = self._core
        for _ in range(_ROUNDS):
            await core.executor.run(op, journal, plan)
            snapshot = await core.observer.refresh()
            plan = await self._plan(entry, snapshot)
            if not plan.steps:
                await self._commit(op, journal, entry, snapshot, plan.stamps)
                return
            await journal.append(Planned(plan=plan))
        raise SystemFailure(f"Pool {entry.label or entry.guid} comes back after it was wiped")

    def _refuse_unsafe(self, entry: PoolEntry, snapshot: Snapshot) -> None:
        core = self._core
        problem = snapshot.problems.get(entry.backend)
        if problem:
            raise SystemFailure(f"Backend {entry.backend} cannot look at its pools: {problem}")
        report = core.find_report(entry, snapshot)
        members = {m.drive.serial for m in report.members if m.drive} if report else set()
        untouchable = [d for d in snapshot.drives if d.system or d.excluded]
        for drive in untouchable:
            if report and any(member.drive == drive.id for member in report.members):
                raise DriveProtected(f"Drive {drive.id.serial} of this pool is the system's")
        protected = sorted((members | set(entry.drive_serials)) & core.protection.serials())
        if protected:
            raise DriveProtected(
                f"Drive {protected[0]} of this pool is protected",
                hint=f"DELETE /api/v1/drives/{protected[0]}/protection lifts it",
            )

    async def _plan(self, entry: PoolEntry, snapshot: Snapshot) -> Plan:
        """What is left to do; no steps when nothing of the pool is left on any drive."""
        core = self._core
        report = core.find_report(entry, snapshot)
        if report is None:
            if mounts := own_mounts(entry, report, snapshot):
                raise Conflict(
                    f"Pool {entry.label or entry.guid} is mounted at {mounts[0].path}, and none of "
                    "its drives is connected",
                    hint=f"Unmount it first: DELETE /api/v1/pools/{entry.guid}/mount",
                )
            return compose("teardown", core, spec_of(entry), entry.backend, steps=(), drives=())
        spec = spec_of(entry).model_copy(update={"native_id": report.native_id})
        draft = await core.host.plan_teardown(entry.backend, spec, report)
        members = _members(report, snapshot, draft.stamps)
        held = report.presence in ("active", "inactive")
        return compose(
            "teardown",
            core,
            spec,
            entry.backend,
            draft=draft,
            drives=members,
            steps=(
                *_content_steps(entry, report, snapshot),
                *(draft.steps if held else ()),
                *steps.wipe_members(members, (*draft.stamps, *draft.around)),
            ),
        )

    async def _commit(
        self,
        op: Operation,
        journal: JournalEntry,
        entry: PoolEntry,
        snapshot: Snapshot,
        stamps: tuple[SignatureMatch, ...],
    ) -> None:
        core = self._core
        stone = _tombstone(entry, snapshot, journal.opened.plan.stamps or stamps)
        dumped = stone.model_dump(mode="json", by_alias=True) if stone else None
        await journal.append(Commit(tombstone=dumped))
        if stone is not None:
            core.tombstones.add(stone)
            names = ", ".join(drive.serial for drive in stone.drives)
            op.message = (
                f"Drives that are not connected or cannot be read were not wiped: {names}. "
                f"When they return, DELETE /api/v1/pools/{entry.guid} wipes them"
            )
        else:
            core.tombstones.discard(entry.guid)
        await remove_made_directories(core, op, journal, entry)
        core.metadata.remove(entry.guid)
        await core.settle(journal)


def _wiped(journal: JournalEntry, problem: Exception) -> bool:
    """Whether anything of the pool may be gone. A device that was in use was not written to."""
    done = {(each.round, each.step) for each in journal.records if isinstance(each, Done)}
    begun = [(n, step.id) for n, step in journal.begun() if step.effect == "destroys"]
    untouched = isinstance(problem.__cause__, DriveInUse) and done.isdisjoint(begun)
    return bool(begun) and not untouched


async def remove_made_directories(
    core: Core, op: Operation, journal: JournalEntry, entry: PoolEntry
) -> None:
    """The mount directories that creating or mounting made; never more than rmdir."""
    if not entry.made_directories:
        return
    step = steps.remove_directories(entry.made_directories)
    plan = journal.plan.model_copy(update={"steps": (step,), "goal": ()})
    await journal.append(Planned(plan=plan))
    try:
        await core.executor.run(op, journal, plan)
    except BackyError as error:  # the pool is gone all the same
        op.outputs.append(f"# {error}")


def _content_steps(entry: PoolEntry, report: PoolReport, snapshot: Snapshot) -> tuple[Step, ...]:
    """Content first, container second: what is left inside would show up again one day."""
    if report.presence != "active":
        return ()
    paths = [mount.path for mount in own_mounts(entry, report, snapshot)]
    clear = (steps.clear_device(),) if report.device else ()
    return (*(steps.unmount(path) for path in reversed(paths)), *clear)


def _members(
    report: PoolReport, snapshot: Snapshot, stamps: tuple[SignatureMatch, ...]
) -> tuple[DriveId, ...]:
    """Every drive that is in the pool or bears its stamp, remembered or not."""
    reported = {member.drive for member in report.members if member.drive is not None}
    return tuple(
        drive.id
        for drive in snapshot.drives
        if drive.id in reported
        or any(s.matches(m) for s in snapshot.signatures_of(drive) for m in stamps)
    )


def _refuse_shared(entry: PoolEntry, plan: Plan, snapshot: Snapshot) -> None:
    """An adopted pool may be made of partitions: then its drives hold more than the pool, and
    would not be wiped in the end."""
    for drive in snapshot.drives:
        found = snapshot.signatures_of(drive) if drive.id in plan.drives else ()
        for each in found:
            ours = entry.fs_uuid is not None and each.uuid == entry.fs_uuid
            if not ours and not any(each.matches(it) for it in (*plan.stamps, *plan.around)):
                raise DriveNotEmpty(
                    f"Drive {drive.id} of this pool also bears {each} on {each.device}",
                    hint=f"Forget the pool: DELETE /api/v1/pools/metadata/{entry.guid}, and take "
                    "it apart by hand",
                )


def _tombstone(
    entry: PoolEntry, snapshot: Snapshot, stamps: tuple[SignatureMatch, ...]
) -> Tombstone | None:
    connected = {drive.id.serial for drive in snapshot.drives if _looked_at(drive, snapshot)}
    absent = tuple(d for d in _remembered(entry) if d.serial not in connected)
    if not absent:
        return None
    return Tombstone(
        guid=entry.guid,
        backend=entry.backend,
        label=entry.label,
        drives=absent,
        stamps=stamps,
        native_id=entry.native_id,
        deleted_at=datetime.now(UTC),
    )


def _looked_at(drive: Drive, snapshot: Snapshot) -> bool:
    """A drive that could not be read may bear the pool's stamp still."""
    return not drive.excluded and snapshot.unprobed.keys().isdisjoint(names_of(drive.device))


def entry_of(stone: Tombstone) -> PoolEntry:
    """The deleted pool as far as its tombstone tells."""
    return PoolEntry(
        guid=stone.guid,
        label=stone.label,
        backend=stone.backend,
        native_id=stone.native_id or stone.guid,
        drive_serials=tuple(drive.serial for drive in stone.drives),
        drive_ids=stone.drives,
    )


def _remembered(entry: PoolEntry) -> tuple[DriveId, ...]:
    known = {drive.serial for drive in entry.drive_ids}
    legacy = [DriveId(serial=serial, size=0) for serial in entry.drive_serials]
    return (*entry.drive_ids, *(drive for drive in legacy if drive.serial not in known))
