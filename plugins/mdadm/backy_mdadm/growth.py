"""Giving an array a drive: the member that returned, or another one in a member's place. Pure.

What joins ends rebuilding or in use. A drive that md leaves a spare is taken out again, and blank.
"""

from __future__ import annotations

from backy_core.sdk import hookimpl
from backy_core.sdk.errors import Conflict
from backy_core.sdk.models import DriveId, MemberReport, PoolReport, PoolSpec
from backy_core.sdk.plan import BackendPlan, Blank, DriveRef, Exec, MemberIs, Step, WipeMember
from backy_mdadm import argv
from backy_mdadm.naming import ref, stamp

_SYNCING = ("recovering", "resync", "reshape", "check")


@hookimpl
def backy_plan_add_drive(
    pool: PoolSpec, report: PoolReport, drive: DriveId, replaces: DriveId | None
) -> BackendPlan:
    """Offer a stale member to md first; wipe and rebuild it only if md does not take it."""
    mine = report.member(drive)
    old = report.member(replaces) if replaces else None
    exchange = old is not None and old.state == "active"
    _refuse_syncing(report, drive)
    joined = MemberIs(drive=drive, states=("rebuilding", "active"))
    back = _return(pool, mine, drive)
    joins = MemberIs(drive=drive, states=(*joined.states, "spare")) if exchange else joined
    steps = (*back, _add(pool, joins), *_retire(report, drive, old, joined))
    return BackendPlan(steps=steps, goal=(joined,), stamps=(stamp(pool),))


def _return(pool: PoolSpec, mine: MemberReport | None, drive: DriveId) -> tuple[Step, ...]:
    """Steps before the plain add, for a drive with this pool's stamp. Each later step is skipped
    once the drive is in."""
    if mine is None:
        return ()
    if mine.state == "spare":  # md holds it, and does not use it
        return (_take_out(drive), _wipe(pool, drive))
    let_go = (_remove_failed(),) if mine.state == "failed" else ()
    return (*let_go, _re_add(drive, mine), _wipe(pool, drive))


def _take_out(drive: DriveId) -> Step:
    return Step(
        id="take-out-spare",
        title=f"Removing the spare {drive}",
        run=Exec(argv=argv.remove(drive)),
        effect="pivot",
    )


def _re_add(drive: DriveId, mine: MemberReport) -> Step:
    return Step(
        id="re-add-member",
        title=f"Taking {drive} back",
        run=Exec(argv=argv.re_add(ref(drive, mine)), ok_codes=(0, 1, 2)),
        effect="pivot",
    )


def _wipe(pool: PoolSpec, drive: DriveId) -> Step:
    return Step(
        id="wipe-member",
        title=f"Wiping the old state of {drive}",
        run=WipeMember(drive=drive, bears=(stamp(pool),)),
        only_if=(MemberIs(drive=drive, states=("stale",)),),
        effect="destroys",
        # udev offers to the array what mdadm has just closed: then it is a spare, and in.
        retry_s=5,
    )


def _add(pool: PoolSpec, joins: MemberIs) -> Step:
    """md makes a spare of whatever it is given, also of a drive it can never use; and of a member
    that it does not know as one."""
    blank = Blank(on=DriveRef(drive=joins.drive))
    return Step(
        id="add-drive",
        title=f"Adding {joins.drive}",
        run=Exec(argv=argv.add(joins.drive), final_words=("not large enough to join array",)),
        needs=(blank,),
        undo=(
            Exec(argv=argv.remove(joins.drive), ok_codes=(0, 1, 2)),
            WipeMember(drive=joins.drive, bears=(stamp(pool),)),
        ),
        undo_expect=(blank,),
        expect=(joins,),
        if_satisfied="skip",
        effect="pivot",
        retry_s=5,
    )


def _retire(
    report: PoolReport, drive: DriveId, old: MemberReport | None, joined: MemberIs
) -> tuple[Step, ...]:
    """Steps for the replaced member. A failed one stays in the array, and in every list of its
    members, until it is removed."""
    if old is None or old.drive is None or old.state != "active":
        failed = {m.drive for m in report.members if m.state == "failed"}
        return (_remove_failed(),) if failed and drive not in failed else ()
    return (
        Step(
            id="replace-member",
            title=f"Replacing {old.drive} by {drive}",
            run=Exec(argv=argv.replace(ref(old.drive, old), drive)),
            expect=(joined,),
            if_satisfied="skip",
            effect="pivot",
        ),
    )


def _remove_failed() -> Step:
    return Step(
        id="remove-failed",
        title="Releasing failed members",
        run=Exec(argv=argv.remove_failed()),
        effect="none",
    )


def _refuse_syncing(report: PoolReport, drive: DriveId) -> None:
    """md looks at its spares only between two such runs, which take hours."""
    if report.sync_percent is not None or report.health in _SYNCING:
        raise Conflict(
            f"The array is busy (resync, rebuild or check), so {drive} would stay a spare.",
            hint="Add it when that is over.",
        )
