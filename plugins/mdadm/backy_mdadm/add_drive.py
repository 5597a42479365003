"""Giving an array a drive: the member that returned, or another one in a member's place. Pure.

What joins ends rebuilding or in use. A drive that md leaves a spare is taken out again, and blank.
"""

from __future__ import annotations

from backy_core.sdk import hookimpl
from backy_core.sdk.errors import Conflict
from backy_core.sdk.models import DriveId, MemberReport, MemberState, PoolReport, PoolSpec
from backy_core.sdk.plan import BackendPlan, DriveRef, Exec, MemberIs, Step
from backy_core.sdk.steps import blank, joined, pivot, wipe_rejected, wipes
from backy_mdadm import argv
from backy_mdadm.stamps import stamp

_SYNCING = ("recovering", "resync", "reshape", "check")


@hookimpl
def backy_plan_add_drive(
    pool: PoolSpec, report: PoolReport, drive: DriveId, replaces: DriveId | None
) -> BackendPlan:
    """Offer a stale member to md first; wipe and rebuild it only if md does not take it."""
    _refuse_syncing(report, drive)
    old = report.member(replaces) if replaces else None
    back = _return(pool, report.member(drive), drive)
    if old is not None and old.drive and old.state == "active":
        command = argv.replace(DriveRef(drive=old.drive, part=old.part), drive)
        title = f"Replacing {old.drive} by {drive}"
        replace = pivot(
            "replace-member", title, Exec(argv=command), joined(drive), if_satisfied="skip"
        )
        steps = (*back, _add(pool, drive, "rebuilding", "active", "spare"), replace)
    else:
        steps = (*back, _add(pool, drive, "rebuilding", "active"), *_remove_others(report, drive))
    return BackendPlan(steps=steps, goal=(joined(drive),), stamps=(stamp(pool),))


def _return(pool: PoolSpec, mine: MemberReport | None, drive: DriveId) -> tuple[Step, ...]:
    """Steps before the plain add, for a drive with this pool's stamp. Each later step is skipped
    once the drive is in."""
    if mine is None:
        return ()
    # udev offers to the array what mdadm has just closed: then it is a spare, and in.
    stale = MemberIs(drive=drive, states=("stale",))
    wipe = wipe_rejected(drive, stale, stamp(pool), retry_s=5)
    if mine.state == "spare":  # md holds it, and does not use it
        take_out = Exec(argv=argv.remove(drive))
        return (pivot("take-out-spare", f"Removing the spare {drive}", take_out), wipe)
    let_go = (_remove_failed(),) if mine.state == "failed" else ()
    re_add = Exec(argv=argv.re_add(DriveRef(drive=drive, part=mine.part)), ok_codes=(0, 1, 2))
    return (*let_go, pivot("re-add-member", f"Taking {drive} back", re_add), wipe)


def _add(pool: PoolSpec, drive: DriveId, *states: MemberState) -> Step:
    """md makes a spare of whatever it is given, also of a drive it can never use; and of a member
    that it does not know as one."""
    remove = Exec(argv=argv.remove(drive), ok_codes=(0, 1, 2))
    return Step(
        id="add-drive",
        title=f"Adding {drive}",
        run=Exec(argv=argv.add(drive), final_words=("not large enough to join array",)),
        needs=blank((drive,)),
        undo=(remove, *wipes((drive,), stamp(pool))),
        undo_expect=blank((drive,)),
        expect=(MemberIs(drive=drive, states=states),),
        if_satisfied="skip",
        effect="pivot",
        retry_s=5,
    )


def _remove_others(report: PoolReport, drive: DriveId) -> tuple[Step, ...]:
    """A failed member stays in the array, and in every list of its members, until it is removed."""
    failed = {member.drive for member in report.members if member.state == "failed"}
    return (_remove_failed(),) if failed and drive not in failed else ()


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
