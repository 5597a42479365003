"""Giving a degraded pool a drive: the returned member itself, or a replacement.

Goes back before its pivot step and forward after it: from there the drive is the pool's.
"""

from __future__ import annotations

from typing import NamedTuple

from backy_core import drives
from backy_core.drives import Drive
from backy_core.operations.journal import Commit
from backy_core.operations.records import Operation
from backy_core.pools import guards, steps
from backy_core.pools.core import IN_PLACE, Core, compose, expected, spec_of
from backy_core.pools.metadata import PoolEntry
from backy_core.sdk.errors import Conflict, DriveNotEmpty, InvalidRequest
from backy_core.sdk.models import DriveId, PoolReport, SignatureMatch
from backy_core.sdk.plan import Plan, Step
from backy_core.snapshot import Snapshot


class AddRequest(NamedTuple):
    """Which drive, by serial; ``replaces`` is a member's serial. ``wipe`` consents to erase it."""

    serial: str
    replaces: str | None = None
    wipe: bool = False


class PoolGrowth:
    def __init__(self, core: Core) -> None:
        self._core = core

    def serial_of(self, serial: str | None, dev_path: str | None) -> str:
        """The serial that is meant; a path is looked up among today's links."""
        if serial is not None:
            return serial
        if dev_path is None:
            raise InvalidRequest("No drive is named", hint="Send serial or devPath")
        return drives.find_by_path(self._core.observer.snapshot.drives, dev_path).id.serial

    async def run(self, op: Operation, guid: str, request: AddRequest) -> None:
        core = self._core
        entry = core.entry(guid)
        nodes = guards.nodes_of(core, (request.serial,))
        snapshot = await core.observer.refresh(fresh_signatures_of=nodes)
        drive = drives.find(snapshot.drives, request.serial)
        report = self._running(entry, snapshot)
        state = _state_of(report, drive.id)
        needed = state == "spare" and report.degraded  # left over from an add that broke off
        if state in IN_PLACE and not needed and request.replaces not in entry.drive_serials:
            op.accept()  # it is in already; a repeat names the member that is out already
            return
        replaced = self._replaced(entry, report, request)
        content = self._admit(op, entry, drive, snapshot, report, request)
        plan = await self._plan(entry, report, drive, replaced, content)
        new = _exchanged(entry, drive.id, replaced, report)
        dumped = new.model_dump(mode="json", by_alias=True)
        journal = await core.open_journal(op, plan, {"entry": dumped})
        try:
            await core.executor.run(op, journal, plan)
        except Exception as error:
            if not (journal.began("pivot") and await has_taken(core, plan)):
                raise await core.fail(op, journal, expected(error)) from error
            op.outputs.append(f"# {expected(error)}; the pool has taken the drive all the same")
        await journal.append(Commit(entry=dumped))
        await core.observer.refresh()
        await core.remember(journal, new)

    def _running(self, entry: PoolEntry, snapshot: Snapshot) -> PoolReport:
        report = self._core.find_report(entry, snapshot)
        if report is None or report.presence != "active":
            raise Conflict(
                f"Pool {entry.label or entry.guid} is not running",
                hint=f"Mount it first: POST /api/v1/pools/{entry.guid}/mount",
            )
        if "add_drive" not in self._core.host.backends[entry.backend].info.capabilities:
            raise InvalidRequest(f"Backend {entry.backend} cannot add drives to a pool")
        return report

    def _replaced(
        self, entry: PoolEntry, report: PoolReport, request: AddRequest
    ) -> DriveId | None:
        """The member that goes; None: the one that is missing."""
        if request.replaces is not None:
            known = {d.serial: d for d in (*entry.drive_ids, *_reported(report))}
            if request.replaces not in known:
                raise InvalidRequest(
                    f"Drive {request.replaces} is not a member of pool {entry.label or entry.guid}"
                )
            return known[request.replaces]
        if not report.degraded:
            raise Conflict(
                f"Pool {entry.label or entry.guid} is complete",
                hint="Name the member to exchange in `replaces`",
            )
        return None

    def _admit(
        self,
        op: Operation,
        entry: PoolEntry,
        drive: Drive,
        snapshot: Snapshot,
        report: PoolReport,
        request: AddRequest,
    ) -> tuple[SignatureMatch, ...]:
        """What is on the drive that must be wiped first; raises if it may not be taken."""
        core = self._core
        labels = guards.pool_labels_by_serial(core)
        state = _state_of(report, drive.id)
        found = snapshot.signatures_of(drive)
        ours = state is not None
        if ours:
            labels.pop(drive.id.serial, None)
        elif labels.get(drive.id.serial) == (entry.label or entry.guid) and not found:
            labels.pop(drive.id.serial, None)  # remembered as ours and blank: it may come back
        consent = request.wipe or ours
        error = guards.unavailable(
            core,
            drive,
            snapshot,
            labels=labels,
            operation=op.id,
            consent=consent,
            joining=report,
        )
        if error is not None:
            raise error
        if state == "diverged" and not request.wipe:
            raise DriveNotEmpty(
                f"Drive {drive.id.serial} was written to apart from its pool",
                hint="Adding it erases what is on it: say so with wipe: true",
            )
        if ours and state != "diverged":
            return ()
        return tuple(dict.fromkeys(signature.as_match() for signature in found))

    async def _plan(
        self,
        entry: PoolEntry,
        report: PoolReport,
        drive: Drive,
        replaced: DriveId | None,
        content: tuple[SignatureMatch, ...],
    ) -> Plan:
        core = self._core
        spec = spec_of(entry).model_copy(update={"native_id": report.native_id})
        seen = _without(report, drive.id) if content else report
        draft = await core.host.plan_add_drive(entry.backend, spec, seen, drive.id, replaced)
        wipes: tuple[Step, ...] = (steps.wipe_content(drive.id, content),) if content else ()
        return compose(
            "add",
            core,
            spec,
            entry.backend,
            draft=draft,
            steps=(*wipes, *draft.steps),
            drives=(drive.id,),
            goal=draft.goal,
        )


async def has_taken(core: Core, plan: Plan) -> bool:
    """Whether the pool uses the drive as was planned: only then an add goes forward. What a spare
    amounts to differs between backends."""
    return await core.executor.conditions.unmet(plan.goal, plan) is None


def _reported(report: PoolReport) -> tuple[DriveId, ...]:
    return tuple(member.drive for member in report.members if member.drive is not None)


def _state_of(report: PoolReport, drive: DriveId) -> str | None:
    return next((m.state for m in report.members if m.drive == drive), None)


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
    """The entry with ``drive`` in the place of the member that goes."""
    if drive.serial in entry.drive_serials:
        goes = replaced.serial if replaced else None
    else:
        in_place = {m.drive.serial for m in report.members if m.drive and m.state in IN_PLACE}
        absent = [serial for serial in entry.drive_serials if serial not in in_place]
        goes = replaced.serial if replaced else (absent[0] if absent else None)
    kept = tuple(d for d in entry.drive_ids if d.serial not in (goes, drive.serial))
    serials = tuple(s for s in entry.drive_serials if s not in (goes, drive.serial))
    labels = {serial: name for serial, name in entry.drive_labels.items() if serial != goes}
    return entry.model_copy(
        update={
            "drive_ids": (*kept, drive),
            "drive_serials": (*serials, drive.serial),
            "drive_labels": labels,
        }
    )
