"""Giving a zpool a drive: a member that returns, or one that takes another's place."""

from __future__ import annotations

from backy_core.sdk import hookimpl
from backy_core.sdk.errors import Conflict, DriveNotEmpty
from backy_core.sdk.models import DriveId, MemberReport, PoolReport, PoolSpec
from backy_core.sdk.plan import Arg, BackendPlan, Blank, DriveRef, Exec, MemberIs, Step, WipeMember
from backy_zfs import argv
from backy_zfs.naming import TABLE, name_of, plan_of, stamp

_FINAL_JOIN = ("usage:", "device is too small")
"""What the tools print where trying again is in vain."""


@hookimpl
def backy_plan_add_drive(
    pool: PoolSpec, report: PoolReport, drive: DriveId, replaces: DriveId | None
) -> BackendPlan:
    """A member that was left out returns and is resilvered. Any other drive takes the place of
    the one it replaces, or of the first that is missing."""
    name = report.name or name_of(pool)
    joined = MemberIs(drive=drive, states=("rebuilding", "active"))
    mine = report.member(drive)
    if mine and mine.slot is not None and (mine.in_place or mine.state == "stale"):
        return plan_of(pool, _back(name, mine, joined), goal=joined)
    if mine and mine.slot is None:
        raise DriveNotEmpty(
            f"{drive} carries a label of this pool, which has no slot for it.",
            hint="Adding it erases its contents; allow that with wipe: true",
        )
    old = _leaves(report, mine, replaces)
    again = _start_anew(pool, name, mine, joined) if mine else ()
    replace = _join("Resilvering to", argv.replace(name, old, drive), joined).model_copy(
        # zpool partitions the drive before the pool refuses it.
        update={
            "undo": (WipeMember(drive=drive, bears=(stamp(pool), *TABLE)),),
            "undo_expect": (Blank(on=DriveRef(drive=drive)),),
        }
    )
    return plan_of(pool, *again, replace, goal=joined)


def _join(title: str, command: tuple[Arg, ...], joined: MemberIs) -> Step:
    return Step(
        id="join-drive",
        title=f"{title} {joined.drive}",
        run=Exec(argv=command, final_words=_FINAL_JOIN),
        expect=(joined,),
        if_satisfied="skip",
        effect="pivot",
        retry_s=10,
        expect_s=2,  # zfs-fuse takes a returned drive at the second attempt
        device_lock="release",
    )


def _back(name: str, mine: MemberReport, joined: MemberIs, *, optional: bool = False) -> Step:
    """``optional``: what it comes to later steps find out."""
    step = _join("Taking back", argv.online(name, _vdev(mine)), joined)
    if not optional:
        return step
    run = Exec(argv=argv.online(name, _vdev(mine)), ok_codes=(0, 1))
    return step.model_copy(update={"id": "take-back", "run": run, "expect": (), "retry_s": 0})


def _start_anew(
    pool: PoolSpec, name: str, mine: MemberReport, joined: MemberIs
) -> tuple[Step, ...]:
    """A failed member is offered to ZFS first. One that fails again starts anew as a blank drive,
    which ZFS must have let go of."""
    out = (MemberIs(drive=joined.drive, states=("failed", "stale")),)
    offline = Step(
        id="take-offline",
        title=f"Letting go of {joined.drive}",
        run=Exec(argv=argv.offline(name, _vdev(mine)), ok_codes=(0, 1)),
        only_if=out,
        effect="none",
    )
    wipe = Step(
        id="wipe-member",
        title=f"Wiping the old state of {joined.drive}",
        run=WipeMember(drive=joined.drive, bears=(stamp(pool), *TABLE)),
        only_if=out,
        effect="destroys",
        retry_s=10,
    )
    return (_back(name, mine, joined, optional=True), offline, wipe)


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
