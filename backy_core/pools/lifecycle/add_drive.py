"""Add a drive to a degraded pool: the returned member itself, or a replacement.

Goes back before its pivot step and forward after it, if the pool has taken the drive by then.
"""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from backy_core.machine import inventory
from backy_core.operations.claims import Claim
from backy_core.operations.journal import Commit, JournalEntry, Planned
from backy_core.operations.kinds import OperationKind
from backy_core.operations.records import Operation
from backy_core.pools.admission import guards
from backy_core.pools.admission.adding import (
    AddCase,
    AddRequest,
    Admitted,
    admit,
    running,
)
from backy_core.pools.core import compose, expected
from backy_core.pools.lifecycle import steps
from backy_core.pools.lifecycle.learning import without_left
from backy_core.pools.lifecycle.verb import Direction, PlannedVerb, committing
from backy_core.sdk.errors import BackyError, InvalidRequest, PlanRefused, SystemFailure
from backy_core.sdk.models import DriveId, PoolReport
from backy_core.sdk.plan import MemberIs, Plan, PoolIs, Step, WipeMember
from backy_core.sdk.steps import joined
from backy_core.store.metadata import PoolEntry

log = logging.getLogger(__name__)

_TAKEN_S = 5.0
"""A drive that was just handed over is a spare until the pool has looked at it."""
_NOT_FAILED = PoolIs(presence="active", failed_ok=False)


class AddDriveCase(NamedTuple):
    """``entry``: the pool's as it is with the drive."""

    plan: Plan
    entry: PoolEntry


class AddDrive(PlannedVerb[AddRequest, AddDriveCase]):
    kind = OperationKind.ADD
    plan_kind = "add"
    direction = Direction.BACK_UNTIL_PIVOT
    cancellable = True

    def fingerprint(self, request: AddRequest) -> str:
        return repr(request)

    def claims(self, request: AddRequest) -> tuple[Claim, ...]:
        return (Claim("drive", request.serial),)

    def serial_of(self, serial: str | None, dev_path: str | None) -> str:
        """The serial that is meant; a path is looked up among today's links."""
        if serial is not None:
            return serial
        if dev_path is None:
            raise InvalidRequest("No drive is named", hint="Send serial or devPath")
        return inventory.find_by_path(self._core.observer.snapshot.drives, dev_path).id.serial

    async def dry_run(self, guid: str, request: AddRequest) -> Plan | None:
        """Plan it, with the same refusals; no plan if the pool uses the drive already."""
        case = await self.admit(None, guid, request)
        return case.plan if case else None

    async def admit(
        self, op: Operation | None, guid: str, request: AddRequest
    ) -> AddDriveCase | None:
        core = self._core
        entry = core.entry(guid)
        nodes = guards.nodes_of(core, (request.serial,))
        snapshot = await core.observer.refresh(fresh_signatures_of=nodes)
        drive = inventory.find(snapshot.drives, request.serial)
        report = running(core, entry, snapshot)
        case = AddCase(core, entry, report, drive, snapshot, request, op.id if op else None)
        admitted = await admit(case)
        if admitted is None:
            return None
        plan = await self._plan(case, admitted)
        return AddDriveCase(plan, _exchanged(entry, drive.id, admitted.replaced, report))

    def subject(self, case: AddDriveCase) -> dict[str, Any]:
        return {"entry": case.entry.as_json()}

    async def perform(self, op: Operation, journal: JournalEntry, case: AddDriveCase) -> Commit:
        try:
            await self._core.executor.run(op, journal, case.plan)
        except Exception as error:
            if not await self._is_past_pivot(journal):
                raise
            op.outputs.append(f"# {expected(error)}; the pool has taken the drive all the same")
        return committing(case.entry)

    async def fail(
        self, op: Operation, journal: JournalEntry, case: AddDriveCase, error: BackyError
    ) -> BackyError:
        if await self._is_past_pivot(journal):  # it is only not recorded yet
            await self._core.keep(journal, str(error), {})
            return error
        failure = await self._core.fail(op, journal, error)
        await self._core.observer.refresh()  # the drive is free again, which lists must say
        return failure

    async def remember(self, journal: JournalEntry, entry: PoolEntry) -> None:
        report = self._core.find_report(entry, await self._core.observer.refresh())
        await super().remember(journal, without_left(entry, report))

    async def goes_forward(self, journal: JournalEntry) -> bool:
        """Forward as well if no pivot began: then the journal is older than the pool."""
        patience = _TAKEN_S if await super().goes_forward(journal) else 0
        return await self._has_taken(journal.plan, within_s=patience)

    async def go_forward(self, op: Operation, journal: JournalEntry) -> None:
        if journal.began("pivot"):
            await self._finish(op, journal)
        await journal.append(Commit(entry=journal.opened.subject.get("entry")))
        await self.conclude(op, journal)

    async def _finish(self, op: Operation, journal: JournalEntry) -> None:
        """Run the steps after the pool took the drive, such as releasing the old one. The pool
        keeps the drive even if they fail."""
        plan = journal.opened.plan  # an earlier recovery may have appended its rest
        begun = {step.id for _, step in journal.begun() if step.effect == "pivot"}
        at = max(number for number, step in enumerate(plan.steps) if step.id in begun)
        rest = plan.model_copy(update={"steps": plan.steps[at + 1 :]})
        if not rest.steps:
            return
        try:
            await journal.append(Planned(plan=rest))
            await self._core.executor.run(op, journal, rest)
        except BackyError as error:
            log.warning("Pool %s: %s", plan.pool.guid, error)

    async def _is_past_pivot(self, journal: JournalEntry) -> bool:
        return journal.began("pivot") and await self._has_taken(journal.opened.plan)

    async def _has_taken(self, plan: Plan, *, within_s: float = 0) -> bool:
        """Whether the pool uses the drive as was planned, or does so ``within_s``."""
        try:
            await self._core.executor.conditions.wait(plan.goal, plan, within_s=within_s)
        except SystemFailure:
            return False
        return True

    async def _plan(self, case: AddCase, admitted: Admitted) -> Plan:
        core, entry, drive = self._core, case.entry, case.drive.id
        spec = entry.spec(case.report)
        wiped = bool(admitted.content)
        report_after = _without(case.report, drive) if wiped else case.report
        draft = await core.host.plan_add_drive(
            entry.backend, spec, report_after, drive, admitted.replaced
        )
        if not wiped and case.member is not None:
            _refuse_unasked_wipe(entry.backend, draft.steps)
        first = (steps.wipe_content(drive, admitted.content),) if wiped else ()
        return compose(
            "add",
            core,
            spec,
            entry.backend,
            draft=draft,
            steps=tuple(map(_guarded, (*first, *draft.steps))),
            drives=(drive,),
            new_members=(drive,),
            goal=tuple(dict.fromkeys((*draft.goal, joined(drive)))),
        )


def _guarded(step: Step) -> Step:
    """A pool may fail between two steps. What it lost may then be on the drive that is taken."""
    if step.effect != "pivot" and not isinstance(step.run, WipeMember):
        return step
    return step.model_copy(update={"needs": (*step.needs, _NOT_FAILED)})


def _refuse_unasked_wipe(backend: str, planned: tuple[Step, ...]) -> None:
    """A member is wiped only after the pool's own engine was asked to take it back, and only if
    it did not."""
    past_pivot = False
    for step in planned:
        conditional = any(isinstance(condition, MemberIs) for condition in step.only_if)
        if isinstance(step.run, WipeMember) and not (past_pivot and conditional):
            raise PlanRefused(
                f"Backend {backend} would wipe a member of the pool without trying to take it back",
                details=f"step {step.id}",
            )
        past_pivot = past_pivot or step.effect == "pivot"


def _without(report: PoolReport, drive: DriveId) -> PoolReport:
    """The report as it will be once the drive is wiped: what the backend knows a member by (its
    ``handle``) stays, as that of a missing one."""
    gone = {"device": None, "drive": None, "state": "missing"}
    members = tuple(
        member.model_copy(update=gone) if member.drive == drive else member
        for member in report.members
        if member.drive != drive or member.handle is not None
    )
    return report.model_copy(update={"members": members})


def _exchanged(
    entry: PoolEntry, drive: DriveId, replaced: DriveId | None, report: PoolReport
) -> PoolEntry:
    """The entry with ``drive`` in the place of the member that goes. One that is in use stays in
    it until the pool was seen to have let it go."""
    in_place = {m.drive.serial for m in report.members if m.drive and m.in_place}
    leaving, goes = entry.leaving, None
    if replaced is not None and replaced.serial in in_place:
        leaving = (*leaving, replaced.serial)
    elif replaced is not None:
        goes = replaced.serial
    elif drive.serial not in entry.drive_serials:
        absent = [serial for serial in entry.drive_serials if serial not in in_place]
        goes = absent[0] if absent else None
    kept = tuple(d for d in entry.drive_ids if d.serial not in (goes, drive.serial))
    serials = tuple(s for s in entry.drive_serials if s not in (goes, drive.serial))
    labels = {serial: name for serial, name in entry.drive_labels.items() if serial != goes}
    return entry.model_copy(
        update={
            "drive_ids": (*kept, drive),
            "drive_serials": (*serials, drive.serial),
            "drive_labels": labels,
            "leaving": tuple(s for s in dict.fromkeys(leaving) if s not in (goes, drive.serial)),
        }
    )
