"""Deleting a pool: unmount, wipe its content, release it, wipe every member, forget it.

Refuses before it changes anything. From then on it goes forward: an interrupted teardown is
planned again from what is seen and finished.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from backy_core.machine.inventory import Drive, is_same_drive, names_of
from backy_core.machine.snapshot import Snapshot
from backy_core.operations.journal import Commit, Done, JournalEntry, Planned
from backy_core.operations.records import Operation
from backy_core.pools.admission import teardown as teardown_guards
from backy_core.pools.admission.busy import refuse_busy
from backy_core.pools.admission.teardown import Target
from backy_core.pools.core import Core, compose, expected
from backy_core.pools.lifecycle import steps
from backy_core.pools.lifecycle.close import Close
from backy_core.pools.lifecycle.contents import PoolContents
from backy_core.pools.reading.members import (
    NOTHING,
    Consent,
    Scope,
    members_of,
    remembered,
    without,
)
from backy_core.pools.reading.pool_mounts import filesystem_of, own_mounts
from backy_core.sdk.advice import Hint, Text, Verb, advise, join
from backy_core.sdk.errors import BackyError, Conflict, DriveInUse, DriveNotEmpty, SystemFailure
from backy_core.sdk.models import DriveId, PoolReport, SignatureMatch
from backy_core.sdk.plan import BackendPlan, Plan, Step, WipeMember
from backy_core.store.metadata import PoolEntry
from backy_core.store.tombstones import Tombstone
from backy_core.system.machine import Machine

_ROUNDS = 3


class PoolTeardown:
    def __init__(self, core: Core, close: Close) -> None:
        self._core = core
        self._close = close
        self._contents = PoolContents(core)

    async def run(self, op: Operation, guid: str, consent: Consent = NOTHING) -> None:
        """The body of a delete of a remembered pool."""
        core = self._core
        entry = core.entry(guid)
        older = core.pending_of(guid)
        begun = any(entry.began("destroys") for entry in older)
        scope = Scope(consent, _drives_of(older) if begun else None)
        target, plan = await self._admitted(entry, scope)
        await refuse_busy(core, entry)
        await self._refuse_hidden(op, target, plan, scope)
        mounted_at = self._close.mounted_at(entry)
        journal = await core.open_journal(op, plan, {"label": entry.label, **consent.subject()})
        for interrupted in older:  # is finished by this one
            await core.settle(interrupted)
        try:
            await core.metadata.put(entry.model_copy(update={"is_mounted": False}))
            await self._finish(op, journal, entry, plan, scope)
        except Exception as problem:
            await core.observer.refresh()
            error = await self._close.explained(entry, expected(problem))
            if begun or _wiped(journal, problem):
                await core.keep(journal, str(error), {})
                raise _half_done(entry, error) from problem
            # Nothing was erased; a deletion that failed must not go on by itself.
            await core.settle(journal)
            raise await self._close.as_before(op, entry, mounted_at, error) from problem

    async def wipe_returned(self, op: Operation, stone: Tombstone, consent: Consent) -> None:
        """The body of a repeated delete: wipe drives that were absent the first time."""
        core = self._core
        entry = entry_of(stone)
        scope = Scope(consent, frozenset())
        _, plan = await self._admitted(entry, scope, stone)
        await refuse_busy(core, entry)
        journal = await core.open_journal(op, plan, {"label": stone.label})
        try:
            await self._finish(op, journal, entry, plan, scope, stone)
        except Exception as problem:  # the tombstone stays, and with it the way to try again
            error = await self._close.explained(entry, expected(problem))
            await core.settle(journal)
            raise (_half_done(entry, error) if _wiped(journal, problem) else error) from problem

    async def check(self, guid: str) -> None:
        """Raise what would refuse the teardown, whoever uses the pool."""
        await self._admitted(self._core.entry(guid), Scope(NOTHING))

    async def _admitted(
        self, entry: PoolEntry, scope: Scope, stone: Tombstone | None = None
    ) -> tuple[Target, Plan]:
        """The target and the plan, after all checks that can refuse."""
        core = self._core
        snapshot = await core.observer.refresh(_nodes_of(entry, core.observer.snapshot))
        teardown_guards.refuse_blind(core, entry, snapshot)
        target, draft = await self._look(entry, snapshot, scope, stone)
        if scope.begun is None:
            teardown_guards.refuse_unknown_copies(target, scope.consent)
        await teardown_guards.refuse(core, target, scope.consent)
        return target, self._plan(target, draft)

    async def _refuse_hidden(self, op: Operation, target: Target, plan: Plan, scope: Scope) -> None:
        """Refuse if the pool holds other content, which shows only while it runs. A pool that
        cannot start, for lack of drives, cannot be checked and may be deleted."""
        core, entry = self._core, target.entry
        delivers = core.host.backends[entry.backend].info.delivers
        if target.report is None or target.report.presence != "stopped" or delivers != "block":
            return
        try:
            async with self._contents.opened(op, plan, target.report):
                running, _ = await self._look(entry, await core.observer.refresh(), scope, None)
                await teardown_guards.refuse_others(core, running, scope.consent)
        except DriveNotEmpty:
            raise
        except BackyError as error:
            op.outputs.append(f"# not looked into before it is deleted: {error}")

    async def _finish(
        self,
        op: Operation,
        journal: JournalEntry,
        entry: PoolEntry,
        plan: Plan,
        scope: Scope,
        stone: Tombstone | None = None,
    ) -> None:
        """Run ``plan``, look again until nothing of the pool is left, and commit."""
        core = self._core
        scope = scope.narrowed(plan)
        for left in reversed(range(_ROUNDS)):
            problem = await self._tried(op, journal, plan)
            snapshot = await core.observer.refresh(_nodes_of(entry, core.observer.snapshot))
            teardown_guards.refuse_blind(core, entry, snapshot)
            target, draft = await self._look(entry, snapshot, scope, stone)
            if problem is not None and not (left and _runs_again(journal, target)):
                raise problem
            plan = self._plan(target, draft)
            if not plan.steps:
                await self._commit(op, journal, target)
                return
            await journal.append(Planned(plan=plan))
        raise SystemFailure(f"Pool {entry.title} comes back after it was wiped")

    async def _tried(
        self, op: Operation, journal: JournalEntry, plan: Plan
    ) -> SystemFailure | None:
        """Run ``plan``; the failure, if a drive or device that it needs was in use."""
        try:
            await self._core.executor.run(op, journal, plan)
        except SystemFailure as problem:
            if not isinstance(problem.__cause__, DriveInUse):
                raise
            return problem
        return None

    async def _look(
        self, entry: PoolEntry, snapshot: Snapshot, scope: Scope, stone: Tombstone | None
    ) -> tuple[Target, BackendPlan | None]:
        """The pool as inspected now, and its backend's plan to release it."""
        core = self._core
        report = core.find_report(entry, snapshot)
        stamps, enclosing = (stone.stamps, stone.enclosing) if stone else ((), ())
        if report is None or report.presence != "active":
            _refuse_left_mounted(entry, report, snapshot)
        if report is None:
            members = members_of(entry, None, stamps, snapshot, scope)
            return Target(entry, None, members, stamps, enclosing, snapshot), None
        spec = entry.spec(report)
        draft = await core.host.plan_teardown(entry.backend, spec, report)
        stamps, enclosing = _joined(stamps, draft.stamps), _joined(enclosing, draft.enclosing)
        members = members_of(entry, report, stamps, snapshot, scope)
        if members.copies:
            teardown_guards.refuse_mixed(entry, report, members)
            report = without(report, members.copies)
            draft = await core.host.plan_teardown(entry.backend, spec, report)
        if members.copies and not members.own:  # what is left is somebody's copy
            return Target(entry, None, members, stamps, enclosing, snapshot), None
        return Target(entry, report, members, stamps, enclosing, snapshot), draft

    def _plan(self, target: Target, draft: BackendPlan | None) -> Plan:
        """Plan the remaining work; no steps if no drive holds anything of the pool."""
        entry, report = target.entry, target.report
        held = report is not None and report.assembled
        own = tuple(drive.id for drive in target.members.own)
        plan = compose(
            "teardown",
            self._core,
            entry.spec(report),
            entry.backend,
            draft=draft,
            drives=own,
            steps=(
                *(_content_steps(entry, report, target.snapshot) if report else ()),
                *(draft.steps if draft and held else ()),
                *steps.wipe_members((drive, target.erasable_on(drive)) for drive in own),
            ),
        )
        return plan.model_copy(update={"stamps": target.stamps, "enclosing": target.enclosing})

    async def _commit(self, op: Operation, journal: JournalEntry, target: Target) -> None:
        core, entry = self._core, target.entry
        drives = dict.fromkeys((*remembered(entry), *(d for p in journal.plans for d in p.drives)))
        machine, snapshot = self._core.machine, target.snapshot
        looked = {drive: await _not_wiped(machine, drive, snapshot) for drive in drives}
        left = {drive: why for drive, why in looked.items() if why}
        first = journal.opened.plan
        stone = _tombstone(core.clock.now(), entry, first, tuple(left)) if left else None
        dumped = stone.model_dump(mode="json", by_alias=True) if stone else None
        await journal.append(Commit(tombstone=dumped))
        if stone is not None:
            await core.tombstones.add(stone)
        else:
            await core.tombstones.discard(entry.guid)
        op.message = _message(entry, left, target.members.copies)
        await remove_made_directories(core, op, journal, entry)
        await core.metadata.remove(entry.guid)
        await core.settle(journal)


def _runs_again(journal: JournalEntry, target: Target) -> bool:
    """Whether udev assembled the pool once more between its release and the wipe of a member."""
    _, failed = journal.begun()[-1]
    report = target.report
    holds = report is not None and report.assembled
    return holds and isinstance(failed.run, WipeMember)


def _half_done(entry: PoolEntry, error: BackyError) -> SystemFailure:
    """A refusal says that nothing was changed, which is no longer so."""
    if isinstance(error, SystemFailure):
        return error
    return SystemFailure(
        f"Deleting pool {entry.title} broke off half-way: {error.message}",
        details=error.details,
        hint=advise("Delete it again: ", Hint(Verb.TEARDOWN, entry.guid)),
    )


def _drives_of(entries: tuple[JournalEntry, ...]) -> frozenset[str]:
    return frozenset(d.serial for entry in entries for plan in entry.plans for d in plan.drives)


def _joined(
    own_stamps: tuple[SignatureMatch, ...], shown: tuple[SignatureMatch, ...]
) -> tuple[SignatureMatch, ...]:
    return tuple(dict.fromkeys((*shown, *own_stamps)))


def _nodes_of(entry: PoolEntry, snapshot: Snapshot) -> list[str]:
    """Nodes to probe again: a cached result is not good enough before wiping."""
    members = {drive.serial for drive in remembered(entry)}
    drives = [drive for drive in snapshot.drives if drive.id.serial in members]
    return [name for drive in drives for name in names_of(drive.device)]


async def _not_wiped(machine: Machine, identity: DriveId, snapshot: Snapshot) -> str | None:
    """Why a member does not count as wiped, by a separate probe; None if it is proved blank."""
    drives_found = [drive for drive in snapshot.drives if drive.id.serial == identity.serial]
    same = [
        drive for drive in drives_found if identity.size == 0 or is_same_drive(drive.id, identity)
    ]
    if len(same) != 1:
        return "another drive answers to its serial" if drives_found else "it is not connected"
    drive = same[0]
    if drive.excluded:
        return "it is excluded by the agent's settings"
    try:
        bears = await machine.signatures.probe_drive(drive.name)
    except SystemFailure as error:
        return f"it cannot be read: {error.details or error.message}"
    if bears:
        return f"it bears {bears[0]}"
    held = machine.devices.holders(drive.name)
    return f"it is held by {', '.join(held)}" if held else None


def _message(
    entry: PoolEntry, left: Mapping[DriveId, str], copies: tuple[Drive, ...]
) -> Text | None:
    """The message about drives that were not wiped."""
    sentences: list[Text] = []
    if left:
        reasons: dict[str, list[str]] = {}
        for drive, why in left.items():
            reasons.setdefault(why, []).append(drive.serial)
        named = "; ".join(f"{', '.join(serials)} ({why})" for why, serials in reasons.items())
        sentences.append(
            advise(
                f"These drives of the pool were not wiped: {named}. When they can be, ",
                Hint(Verb.TEARDOWN, entry.guid),
                " wipes what they bear of it",
            )
        )
    if copies:
        named = ", ".join(f"{drive.id.serial} ({drive.node})" for drive in copies)
        sentences.append(
            f"These drives bear the pool's identity without being its members, and were left "
            f"alone: {named}"
        )
    return join(sentences, ". ") if sentences else None


def _refuse_left_mounted(entry: PoolEntry, report: PoolReport | None, snapshot: Snapshot) -> None:
    """The kernel may have a pool that its backend does not see run."""
    filesystem = filesystem_of(entry, report, snapshot)
    if filesystem.mounts:
        raise Conflict(
            f"Pool {entry.title} is mounted at {filesystem.mounts[0].path}, and "
            f"backend {entry.backend} does not see it run",
            hint=advise("Unmount it first: ", Hint(Verb.CLOSE, entry.guid)),
        )
    if report is None and filesystem.devices:
        raise Conflict(
            f"Device /dev/{filesystem.devices[0]} of pool {entry.title} is running, "
            f"and backend {entry.backend} does not see the pool",
            hint="Nothing was changed. Look at the drives and the kernel log, and try again",
        )


def _wiped(journal: JournalEntry, problem: Exception) -> bool:
    """Whether anything of the pool may be gone. A device that was in use was not written to."""
    done = {(record.round, record.step) for record in journal.records if isinstance(record, Done)}
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


def _tombstone(now: datetime, entry: PoolEntry, plan: Plan, left: tuple[DriveId, ...]) -> Tombstone:
    return Tombstone(
        guid=entry.guid,
        backend=entry.backend,
        label=entry.label,
        level=entry.level or "",
        filesystem=entry.filesystem,
        drives=left,
        members=remembered(entry),
        stamps=plan.stamps,
        enclosing=plan.enclosing,
        native_id=entry.native_id,
        deleted_at=now,
    )


def entry_of(stone: Tombstone) -> PoolEntry:
    """The deleted pool as far as its tombstone tells."""
    return PoolEntry(
        guid=stone.guid,
        label=stone.label,
        backend=stone.backend,
        level=stone.level or None,
        filesystem=stone.filesystem,
        native_id=stone.native_id or stone.guid,
        drive_serials=tuple(drive.serial for drive in stone.drives),
        drive_ids=stone.drives,
    )
