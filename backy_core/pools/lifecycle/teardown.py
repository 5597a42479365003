"""Deleting a pool: unmount, wipe its content, release it, wipe every member, forget it.

Refuses before it changes anything. From then on it goes forward: an interrupted teardown is
planned again from what is seen and finished.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from backy_core.operations.journal import Commit, Done, JournalEntry, Planned
from backy_core.operations.kinds import OperationKind
from backy_core.operations.records import Operation
from backy_core.pools.admission import teardown as teardown_guards
from backy_core.pools.admission.busy import refuse_busy
from backy_core.pools.admission.teardown import Target
from backy_core.pools.core import Core, expected, mounts_of
from backy_core.pools.lifecycle import remains, steps
from backy_core.pools.lifecycle.abandon import abandon
from backy_core.pools.lifecycle.close import Close
from backy_core.pools.lifecycle.contents import PoolContents
from backy_core.pools.lifecycle.remains import entry_of
from backy_core.pools.lifecycle.teardown_planning import TeardownPlanning
from backy_core.pools.lifecycle.verb import Direction, PlannedVerb
from backy_core.pools.reading.members import (
    NOTHING,
    Consent,
    Scope,
    remembered,
)
from backy_core.pools.reading.viewing import PoolViewer
from backy_core.pools.views import PoolState
from backy_core.sdk.advice import Hint, Verb, advise
from backy_core.sdk.errors import (
    BackyError,
    Conflict,
    DriveInUse,
    DriveNotEmpty,
    NotFound,
    SystemFailure,
)
from backy_core.sdk.models import DriveId
from backy_core.sdk.plan import Plan, Unmount, WipeMember
from backy_core.store.metadata import PoolEntry
from backy_core.store.tombstones import Tombstone
from backy_core.system.mounts import MountEntry

_ROUNDS = 3


class TeardownCase(NamedTuple):
    """A pool to delete, remembered or with only its tombstone left. ``begun``: an earlier deletion
    has erased some of it."""

    entry: PoolEntry
    plan: Plan
    scope: Scope
    stone: Tombstone | None
    earlier: tuple[JournalEntry, ...]
    begun: bool
    mounts: tuple[MountEntry, ...]


class Teardown(PlannedVerb[Consent, TeardownCase]):
    kind = OperationKind.DELETE
    plan_kind = "teardown"
    direction = Direction.FORWARD

    def __init__(self, core: Core, close: Close, viewer: PoolViewer) -> None:
        super().__init__(core)
        self._close = close
        self._planning = TeardownPlanning(core)
        self._contents = PoolContents(core)
        self._viewer = viewer

    def fingerprint(self, request: Consent) -> str:
        return "" if request == NOTHING else json.dumps(request.subject())

    async def prepare(self, guid: str) -> Operation | None:
        """Cancel a running creation and wait until it is rolled back.

        Returns the earlier delete if the pool was just deleted; raises :class:`NotFound` for an
        unknown pool.
        """
        registry = self._core.registry
        running = registry.running_on(guid)
        if running is not None and running.kind is OperationKind.CREATE:
            running.cancel_requested.set()
            await running.ended()
        if self._returned(guid) is not None:
            return None
        state = self._viewer.state(guid)
        if state is PoolState.DELETED:
            return next(op for op in reversed(registry.of_pool(guid)) if op.kind is self.kind)
        if state is None:
            raise NotFound(f"There is no pool {guid}")
        return None

    async def check(self, guid: str) -> None:
        """Raise what would refuse the teardown, whoever uses the pool."""
        await self._planning.admit(self._core.entry(guid), Scope(NOTHING))

    async def dry_run(self, guid: str, consent: Consent) -> Plan:
        """Plan it as its drives are now, with the same refusals but one: a stopped pool is not
        opened to inspect its content."""
        core = self._core
        stone = self._returned(guid) if core.metadata.get(guid) is None else None
        if stone is None and core.pending_of(guid) and core.metadata.get(guid) is None:
            raise Conflict(
                f"Pool {guid} never was one: deleting it rolls back what its creation left",
                hint="That is planned from what is found when it runs",
            )
        entry = entry_of(stone) if stone else core.entry(guid)
        _, plan = await self._planning.admit(entry, Scope(consent), stone)
        await refuse_busy(core, entry)
        made = entry.made_directories
        removing = (steps.remove_directories(made),) if made and stone is None else ()
        return plan.model_copy(update={"steps": (*plan.steps, *removing)})

    async def run(self, op: Operation, guid: str, request: Consent = NOTHING) -> None:
        """A pool whose creation failed has no plan of its own: its creation is rolled back."""
        if self._core.metadata.get(guid) is None and self._returned(guid) is None:
            await abandon(self._core, op, guid, request)
        else:
            await super().run(op, guid, request)

    async def admit(self, op: Operation, guid: str, request: Consent) -> TeardownCase:
        core = self._core
        stone = self._returned(guid) if core.metadata.get(guid) is None else None
        entry = entry_of(stone) if stone else core.entry(guid)
        earlier = core.pending_of(guid)  # none of a pool whose drives returned
        begun = any(interrupted.began("destroys") for interrupted in earlier)
        drives = _drives_of(earlier) if begun or stone else None
        scope = Scope(request, drives)
        target, plan = await self._planning.admit(entry, scope, stone)
        await refuse_busy(core, entry)
        if stone is None:
            await self._refuse_hidden(op, target, plan, scope)
        mounts = self._close.mounted_at(entry) if stone is None else ()
        return TeardownCase(entry, plan, scope, stone, earlier, begun, mounts)

    def _returned(self, guid: str) -> Tombstone | None:
        """The tombstone of a pool that is still on drives that were absent at its deletion."""
        core = self._core
        stone = core.tombstones.get(guid)
        if stone is None or core.metadata.get(guid) is not None or core.pending_of(guid):
            return None
        report = core.find_report(entry_of(stone))
        return stone if report and report.drives else None

    def subject(self, case: TeardownCase) -> dict[str, Any]:
        return {"label": case.entry.label, **case.scope.consent.subject()}

    async def perform(self, op: Operation, journal: JournalEntry, case: TeardownCase) -> Commit:
        for interrupted in case.earlier:  # is finished by this one
            await self._core.settle(interrupted)
        if case.stone is None:
            await self._core.metadata.put(case.entry.model_copy(update={"is_mounted": False}))
        return await self._finish(op, journal, case)

    async def fail(
        self, op: Operation, journal: JournalEntry, case: TeardownCase, error: BackyError
    ) -> BackyError:
        """Nothing was erased: a deletion that failed must not go on by itself. Of a tombstone, the
        way to try again stays with it."""
        begun = case.begun or _wiped(journal, error)
        await self._core.observer.refresh()
        explained = await self._close.explained(case.entry, error)
        if begun and case.stone is None:
            await self._core.keep(journal, str(explained), {})
            return _half_done(case.entry, explained)
        await self._core.settle(journal)
        if begun:
            return _half_done(case.entry, explained)
        return await self._close.as_before(op, case.entry, case.mounts, explained)

    async def conclude(self, op: Operation, journal: JournalEntry) -> None:
        try:
            await self._forget(op, journal)
        except Exception as error:
            await self._core.keep(journal, str(error), {})
            raise expected(error) from error

    async def _forget(self, op: Operation, journal: JournalEntry) -> None:
        core, guid = self._core, journal.opened.plan.pool.guid
        buried = journal.commit.tombstone if journal.commit else None
        if buried is not None:
            await core.tombstones.put(Tombstone.model_validate(buried))
        else:
            await core.tombstones.remove(guid)
        if (entry := core.metadata.get(guid)) is not None:
            await self._remove_directories(op, journal, entry.made_directories)
            await core.metadata.remove(guid)
        await core.settle(journal)

    async def _remove_directories(
        self, op: Operation, journal: JournalEntry, paths: tuple[str, ...]
    ) -> None:
        """The mount directories that creating or mounting made; never more than rmdir."""
        if not paths:
            return
        step = steps.remove_directories(paths)
        plan = journal.plan.model_copy(update={"steps": (step,), "goal": ()})
        await journal.append(Planned(plan=plan))
        try:
            await self._core.executor.run(op, journal, plan)
        except BackyError as error:  # the pool is gone all the same
            op.outputs.append(f"# {error}")

    async def go_forward(self, op: Operation, journal: JournalEntry) -> None:
        """Finish it, unless the pool has been mounted since. One that fails stays pending."""
        core, guid = self._core, journal.opened.plan.pool.guid
        entry = core.metadata.get(guid)
        if entry is None:
            await self.settle_alike(journal)
            return
        if await self._mounted_since(journal, entry):
            await self.settle_alike(journal)
            await core.metadata.put(entry.model_copy(update={"is_mounted": True}))
            raise Conflict(
                f"The deletion of pool {entry.title} failed, and it has been mounted since",
                hint=advise("Delete it again: ", Hint(Verb.TEARDOWN, guid)),
            )
        try:
            await self.run(op, guid, Consent.of_subject(journal.opened.subject))
        except BackyError as error:
            if journal.opened.operation in core.pending:
                await core.keep(journal, str(error), {})
            raise

    async def _mounted_since(self, journal: JournalEntry, entry: PoolEntry) -> bool:
        """Whether somebody mounted the pool after its deletion had unmounted it, or since the
        machine was started: then the journal is older than that use."""
        snapshot = await self._core.observer.refresh()
        paths = set(mounts_of(snapshot, self._core.find_report(entry, snapshot)))
        if journal.opened.boot_id != self._core.machine.kernel.boot_id():
            return bool(paths)
        gone = {step.run.path for step in journal.done() if isinstance(step.run, Unmount)}
        return not paths.isdisjoint(gone)

    async def _refuse_hidden(self, op: Operation, target: Target, plan: Plan, scope: Scope) -> None:
        """Refuse if the pool holds other content, which shows only while it runs. A pool that
        cannot start, for lack of drives, cannot be checked and may be deleted."""
        core, entry = self._core, target.entry
        delivers = core.host.backends[entry.backend].info.delivers
        if target.report is None or target.report.presence != "stopped" or delivers != "block":
            return
        try:
            async with self._contents.opened(op, plan, target.report):
                await core.observer.refresh()
                running, _ = await self._planning.look(entry, scope)
                await teardown_guards.refuse_others(core, running, scope.consent)
        except DriveNotEmpty:
            raise
        except BackyError as error:
            op.outputs.append(f"# not inspected before it is deleted: {error}")

    async def _finish(
        self,
        op: Operation,
        journal: JournalEntry,
        case: TeardownCase,
    ) -> Commit:
        """Run the plan, and look again until nothing of the pool is left."""
        entry, plan = case.entry, case.plan
        scope = case.scope.narrowed(plan)
        for left in reversed(range(_ROUNDS)):
            problem = await self._tried(op, journal, plan)
            target, draft = await self._planning.look_closely(entry, scope, case.stone)
            if problem is not None and not (left and _runs_again(journal, target)):
                raise problem
            plan = self._planning.plan(target, draft)
            if not plan.steps:
                return await self._commit(op, journal, target)
            await journal.append(Planned(plan=plan))
        raise SystemFailure(f"Pool {entry.title} came back after it was wiped")

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

    async def _commit(self, op: Operation, journal: JournalEntry, target: Target) -> Commit:
        """The commit record: which drives are not wiped, and why, is the operation's message."""
        machine, entry, snapshot = self._core.machine, target.entry, target.snapshot
        drives = _all_drives(entry, journal)
        looked = {drive: await remains.not_wiped(machine, drive, snapshot) for drive in drives}
        left = {drive: why for drive, why in looked.items() if why}
        op.message = remains.message(entry, left, target.members.copies)
        if not left:
            return Commit()
        stone = remains.tombstone(self._core.clock.now(), entry, journal.opened.plan, tuple(left))
        return Commit(tombstone=stone.as_json())


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
        f"The deletion of pool {entry.title} stopped half-way: {error.message}",
        details=error.details,
        hint=advise("Delete it again: ", Hint(Verb.TEARDOWN, entry.guid)),
    )


def _all_drives(entry: PoolEntry, journal: JournalEntry) -> dict[DriveId, None]:
    """Every drive that the pool had or that its deletion reached."""
    reached = (drive for plan in journal.plans for drive in plan.drives)
    return dict.fromkeys((*remembered(entry), *reached))


def _drives_of(entries: tuple[JournalEntry, ...]) -> frozenset[str]:
    return frozenset(d.serial for entry in entries for plan in entry.plans for d in plan.drives)


def _wiped(journal: JournalEntry, problem: Exception) -> bool:
    """Whether anything of the pool may be gone. A device that was in use was not written to."""
    done = {(record.round, record.step) for record in journal.records if isinstance(record, Done)}
    begun = [(n, step.id) for n, step in journal.begun() if step.effect == "destroys"]
    untouched = isinstance(problem.__cause__, DriveInUse) and done.isdisjoint(begun)
    return bool(begun) and not untouched
