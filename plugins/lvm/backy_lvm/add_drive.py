"""Giving a pool a drive: the member that returned, or another one in a member's place. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from backy_core.sdk import hookimpl
from backy_core.sdk.models import DriveId, MemberReport, PoolReport, PoolSpec
from backy_core.sdk.plan import BackendPlan, Bears, DriveRef, MemberIs, Step
from backy_core.sdk.steps import blank, joined, pivot, wipes
from backy_lvm.argv import VolumeGroup, make_member
from backy_lvm.naming import SIGNATURE
from backy_lvm.stamps import stamp, stamps, unused_uuid


@hookimpl
def backy_plan_add_drive(
    pool: PoolSpec, report: PoolReport, drive: DriveId, replaces: DriveId | None
) -> BackendPlan:
    """A stale member returns by the bitmap; any other drive takes a missing one's place, or
    that of ``replaces``."""
    group = VolumeGroup.of(pool, report)
    uuid = unused_uuid(pool, report, drive)
    mine = report.member(drive)
    if mine is not None and mine.state in ("stale", "failed"):
        steps = _return(group.plus(drive), drive, mine)
    else:
        # A spare was left in the group by an exchange that broke off.
        spare = mine is not None and mine.state == "spare"
        prepare = (
            () if spare else (create_member("create-member", drive, uuid), _extend(group, drive))
        )
        old = report.member(replaces) if replaces else None
        steps = (*prepare, *_exchange(group.plus(drive), report, drive, old))
    own = (*stamps(pool, report), stamp(uuid))
    return BackendPlan(steps=steps, goal=(joined(drive),), stamps=tuple(dict.fromkeys(own)))


def create_member(step_id: str, drive: DriveId, uuid: str) -> Step:
    """Make a blank drive a member-to-be, with this UUID."""
    return Step(
        id=step_id,
        title=f"Preparing drive {drive}",
        run=make_member(drive, uuid),
        undo=wipes((drive,), stamp(uuid)),
        undo_expect=blank((drive,)),
        expect=(Bears(on=DriveRef(drive=drive), type=SIGNATURE, uuid=uuid),),
        retry_s=5,
    )


def _return(group: VolumeGroup, drive: DriveId, mine: MemberReport) -> tuple[Step, ...]:
    return (
        pivot("restore-member", f"Taking {drive} back", group.restore(drive)),
        pivot(
            "refresh-volume", "Bringing it up to date", group.refresh(), joined(drive), retry_s=5
        ),
        Step(
            id="forget-missing",
            title="Recording that it is back",
            run=group.forget_apart(mine.handle or ""),
        ),
        *_clear(group, (mine,)),
    )


def _extend(group: VolumeGroup, drive: DriveId) -> Step:
    """Until the conversion begins, the drive can be taken out again."""
    return Step(
        id="extend-group",
        title=f"Adding {drive}",
        run=group.plus(drive).extend(drive),
        undo=(group.reduce_missing(),),
        undo_expect=(MemberIs(drive=drive, states=()),),
        expect=(MemberIs(drive=drive, states=("spare",)),),
    )


def _exchange(
    group: VolumeGroup, report: PoolReport, drive: DriveId, old: MemberReport | None
) -> tuple[Step, ...]:
    if old and old.drive and old.in_use:
        convert, drop = group.replace(old.drive, drive), group.reduce(old.drive)
    else:
        convert, drop = group.repair(drive), group.reduce_missing()
    return (
        pivot("convert-volume", f"Rebuilding on {drive}", convert, joined(drive)),
        Step(id="drop-member", title="Releasing the old member", run=drop),
        *_clear(group, (member for member in report.members if member.device is None)),
    )


def _clear(group: VolumeGroup, back: Iterable[MemberReport]) -> tuple[Step, ...]:
    """Remove leftover mappings of members that are back or were replaced."""
    slots = [member.slot for member in back if member.slot is not None]
    step = Step(
        id="clear-placeholders",
        title="Removing the placeholders of missing members",
        run=group.remove_placeholders(slots),
    )
    return (step,) if slots else ()
