"""Giving a degraded pool a drive: the returned member itself, or a replacement.

Goes back before its pivot step and forward after it: from there the drive is the pool's.
"""

from __future__ import annotations

from backy_core.machine import inventory
from backy_core.operations.journal import Commit
from backy_core.operations.records import Operation
from backy_core.pools.admission import guards
from backy_core.pools.admission.adding import (
    AddCase,
    AddRequest,
    Admitted,
    admit,
    running,
)
from backy_core.pools.core import Core, compose, expected
from backy_core.pools.lifecycle import steps
from backy_core.pools.lifecycle.learning import without_left
from backy_core.sdk.errors import InvalidRequest, PlanRefused, SystemFailure
from backy_core.sdk.models import DriveId, PoolReport
from backy_core.sdk.plan import MemberIs, Plan, PoolIs, Step, WipeMember
from backy_core.store.metadata import PoolEntry

_NOT_FAILED = PoolIs(presence="active", failed_ok=False)


class PoolGrowth:
    def __init__(self, core: Core) -> None:
        self._core = core

    def serial_of(self, serial: str | None, dev_path: str | None) -> str:
        """The serial that is meant; a path is looked up among today's links."""
        if serial is not None:
            return serial
        if dev_path is None:
            raise InvalidRequest("No drive is named", hint="Send serial or devPath")
        return inventory.find_by_path(self._core.observer.snapshot.drives, dev_path).id.serial

    async def run(self, op: Operation, guid: str, request: AddRequest) -> None:
        core = self._core
        entry = core.entry(guid)
        nodes = guards.nodes_of(core, (request.serial,))
        snapshot = await core.observer.refresh(fresh_signatures_of=nodes)
        drive = inventory.find(snapshot.drives, request.serial)
        report = running(core, entry, snapshot)
        case = AddCase(core, entry, report, drive, snapshot, request, op.id)
        admitted = await admit(case)
        if admitted is None:
            op.accept()
            return
        plan = await self._plan(case, admitted)
        new = _exchanged(entry, drive.id, admitted.replaced, report)
        dumped = new.model_dump(mode="json", by_alias=True)
        journal = await core.open_journal(op, plan, {"entry": dumped})
        try:
            await core.executor.run(op, journal, plan)
        except Exception as error:
            if not (journal.began("pivot") and await has_taken(core, plan)):
                failure = await core.fail(op, journal, expected(error))
                await core.observer.refresh()  # the drive is free again, which lists must say
                raise failure from error
            op.outputs.append(f"# {expected(error)}; the pool has taken the drive all the same")
        await journal.append(Commit(entry=dumped))
        new_report = core.find_report(new, await core.observer.refresh())
        await core.remember(journal, without_left(new, new_report))

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
        in_use = MemberIs(drive=drive, states=("rebuilding", "active"))
        return compose(
            "add",
            core,
            spec,
            entry.backend,
            draft=draft,
            steps=tuple(map(_guarded, (*first, *draft.steps))),
            drives=(drive,),
            goal=tuple(dict.fromkeys((*draft.goal, in_use))),
        )


async def has_taken(core: Core, plan: Plan, *, within_s: float = 0) -> bool:
    """Whether the pool uses the drive as was planned, or does so ``within_s``: only then an add
    goes forward."""
    try:
        await core.executor.conditions.wait(plan.goal, plan, within_s=within_s)
    except SystemFailure:
        return False
    return True


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
