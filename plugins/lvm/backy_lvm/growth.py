"""Giving a pool a drive: the member that returned, or another one in a member's place. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from backy_core.sdk import hookimpl
from backy_core.sdk.models import DriveId, MemberReport, PoolReport, PoolSpec
from backy_core.sdk.plan import (
    Arg,
    BackendPlan,
    Bears,
    DriveRef,
    Exec,
    MemberIs,
    Step,
    blank,
    wipes,
)
from backy_lvm import argv
from backy_lvm.naming import SIGNATURE, Named, stamp, stamps


@hookimpl
def backy_plan_add_drive(
    pool: PoolSpec, report: PoolReport, drive: DriveId, replaces: DriveId | None
) -> BackendPlan:
    """A stale member returns by the bitmap; any other drive takes a missing one's place, or
    that of ``replaces``."""
    named = Named.of(pool, report)
    mine = report.member(drive)
    old = report.member(replaces) if replaces else None
    joined = MemberIs(drive=drive, states=("rebuilding", "active"))
    if mine is not None and mine.state in ("stale", "failed"):
        steps = _return(named, drive, mine, joined)
    else:
        steps = _exchange(pool, report, drive, old, joined)
    uuid = _new_uuid(pool, report, drive)
    own = (*stamps(pool, report), stamp(uuid))
    return BackendPlan(steps=steps, goal=(joined,), stamps=tuple(dict.fromkeys(own)))


def _return(named: Named, drive: DriveId, mine: MemberReport, joined: MemberIs) -> tuple[Step, ...]:
    members = (*named.good, drive)
    return (
        Step(
            id="restore-member",
            title=f"Taking {drive} back",
            run=Exec(argv=argv.restore(named.group, named.good, drive), ok_codes=(0, 5)),
            effect="pivot",
        ),
        Step(
            id="refresh-volume",
            title="Bringing it up to date",
            run=Exec(argv=argv.refresh(named.path, members)),
            expect=(joined,),
            effect="pivot",
            retry_s=5,
        ),
        Step(
            id="forget-missing",
            title="Recording that it is back",
            run=Exec(argv=argv.forget_apart(named.selected, members, [mine.handle or ""])),
        ),
        *_clear(named, (mine,)),
    )


def _exchange(
    pool: PoolSpec,
    report: PoolReport,
    drive: DriveId,
    old: MemberReport | None,
    joined: MemberIs,
) -> tuple[Step, ...]:
    """Until the conversion begins, the drive can be taken out again."""
    named = Named.of(pool, report)
    present = old.drive if old and old.in_use else None
    members = (*named.good, drive)
    if present:
        convert = argv.replace(named.path, named.good, present, drive)
        drop = argv.reduce(named.group, members, present)
    else:
        convert = argv.repair(named.path, named.good, drive)
        drop = argv.reduce_missing(named.group, members)
    return (
        *_prepare(pool, report, named, drive),
        Step(
            id="convert-volume",
            title=f"Rebuilding on {drive}",
            run=Exec(argv=convert),
            expect=(joined,),
            effect="pivot",
        ),
        Step(
            id="drop-member",
            title="Releasing the old member",
            # 5: other members are missing still, and something lies on them.
            run=Exec(argv=drop, ok_codes=(0, 5)),
        ),
        *_clear(named, [member for member in report.members if member.device is None]),
    )


def _clear(named: Named, back: Iterable[MemberReport]) -> tuple[Step, ...]:
    """Remove leftover mappings. Fails if one is absent or still stands for a missing member."""
    slots = [member.slot for member in back if member.slot is not None]
    if not slots:
        return ()
    remove = argv.remove_placeholders(named.group, named.volume, slots)
    step = Step(
        id="clear-placeholders",
        title="Removing the placeholders of missing members",
        run=Exec(argv=remove, ok_codes=(0, 1)),
    )
    return (step,)


def _prepare(pool: PoolSpec, report: PoolReport, named: Named, drive: DriveId) -> tuple[Step, ...]:
    mine = report.member(drive)
    if mine is not None and mine.state == "spare":
        return ()  # left in the group by an exchange that broke off
    leave: tuple[Arg, ...] = argv.reduce_missing(named.group, named.good)
    return (
        create_member("create-member", drive, _new_uuid(pool, report, drive)),
        Step(
            id="extend-group",
            title=f"Adding {drive}",
            run=Exec(argv=argv.extend(named.group, named.good, drive)),
            undo=(Exec(argv=leave, ok_codes=(0, 5)),),
            undo_expect=(MemberIs(drive=drive, states=()),),
            expect=(MemberIs(drive=drive, states=("spare",)),),
        ),
    )


def create_member(step_id: str, drive: DriveId, uuid: str) -> Step:
    """Make a blank drive a member-to-be, with this UUID."""
    return Step(
        id=step_id,
        title=f"Preparing drive {drive}",
        run=Exec(argv=argv.create_member(drive, uuid)),
        undo=wipes((drive,), stamp(uuid)),
        undo_expect=blank((drive,)),
        expect=(Bears(on=DriveRef(drive=drive), type=SIGNATURE, uuid=uuid),),
        retry_s=5,
    )


def _new_uuid(pool: PoolSpec, report: PoolReport, drive: DriveId) -> str:
    """One that the group does not remember: it would take the drive for that old member."""
    taken = {member.handle for member in report.members}
    uuids = (argv.pv_uuid(pool.guid, drive, attempt) for attempt in range(len(taken) + 1))
    return next(uuid for uuid in uuids if uuid not in taken)
