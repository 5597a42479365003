"""Giving a zpool a drive: a member that returns, or one that takes another's place."""

from __future__ import annotations

from backy_core.sdk import hookimpl
from backy_core.sdk.errors import Conflict, DriveNotEmpty
from backy_core.sdk.models import DriveId, MemberReport, PoolReport, PoolSpec
from backy_core.sdk.plan import Arg, BackendPlan, Condition, Exec, MemberIs, Step
from backy_core.sdk.steps import blank, joined, wipe_rejected, wipes
from backy_zfs import argv
from backy_zfs.plans import TABLE, name_of, plan_of, stamp


@hookimpl
def backy_plan_add_drive(
    pool: PoolSpec, report: PoolReport, drive: DriveId, replaces: DriveId | None
) -> BackendPlan:
    """A member that was left out returns and is resilvered. Any other drive takes the place of
    the one it replaces, or of the first that is missing."""
    name = report.name or name_of(pool)
    goal = joined(drive)
    mine = report.member(drive)
    if mine and mine.slot is not None and (mine.in_place or mine.state == "stale"):
        online = argv.online(name, _vdev(mine))
        return plan_of(pool, _join("join-drive", f"Taking back {drive}", online, goal), goal=goal)
    if mine and mine.slot is None:
        raise DriveNotEmpty(
            f"{drive} carries a label of this pool, which has no slot for it.",
            hint="Adding it erases its contents; allow that with wipe: true",
        )
    again = _start_anew(pool, name, drive, mine) if mine else ()
    command = argv.replace(name, _leaves(report, mine, replaces), drive)
    replace = _join("join-drive", f"Resilvering to {drive}", command, goal)
    # zpool partitions the drive before the pool refuses it.
    undo = {"undo": wipes((drive,), stamp(pool), *TABLE), "undo_expect": blank((drive,))}
    return plan_of(pool, *again, replace.model_copy(update=undo), goal=goal)


def _join(step_id: str, title: str, run: Exec, *expect: Condition, retry_s: float = 10) -> Step:
    return Step(
        id=step_id,
        title=title,
        run=run,
        expect=expect,
        if_satisfied="skip",
        effect="pivot",
        retry_s=retry_s,
        expect_s=2,  # zfs-fuse takes a returned drive at the second attempt
        device_lock="release",
    )


def _start_anew(pool: PoolSpec, name: str, drive: DriveId, mine: MemberReport) -> tuple[Step, ...]:
    """A failed member is offered to ZFS first. One that fails again starts anew as a blank drive,
    which ZFS must have let go of."""
    out = MemberIs(drive=drive, states=("failed", "stale"))
    offline = Step(
        id="take-offline",
        title=f"Letting go of {drive}",
        run=argv.offline(name, _vdev(mine)),
        only_if=(out,),
        effect="none",
    )
    return (
        _join("take-back", f"Taking back {drive}", argv.try_online(name, _vdev(mine)), retry_s=0),
        offline,
        wipe_rejected(drive, out, stamp(pool), *TABLE, retry_s=10),
    )


def _leaves(report: PoolReport, mine: MemberReport | None, replaces: DriveId | None) -> Arg:
    """The vdev whose place is taken: of the member that is named, else of one that is out."""
    named = report.member(replaces) if replaces else None
    if named is not None and named.slot is not None:
        return _vdev(named)
    out = [m for m in (mine, *report.members) if m and _may_leave(m)]
    if not out:
        raise Conflict(
            "All members of the pool are in use.", hint="Name the drive that is to be replaced."
        )
    return _vdev(out[0])


def _may_leave(member: MemberReport) -> bool:
    """It has a place in the pool (what is left of an earlier member has none) and is out of use."""
    return member.slot is not None and not member.in_place


def _vdev(member: MemberReport) -> Arg:
    """The tools' name for a member: its guid if it is gone, its path if it is present."""
    if member.handle is not None or member.drive is None:
        return member.handle or ""
    return argv.by_id(member.drive)
