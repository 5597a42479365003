"""The hooks of the mdadm backend: they choose, :mod:`argv` words it, the core acts.

The pool's GUID is the array's UUID. Kernel names and ``/dev/md`` links are never relied on:
every plan names the array by :class:`PoolDevice` and members by drive.
"""

from __future__ import annotations

from collections.abc import Sequence

from backy_core.sdk import hookimpl
from backy_core.sdk.errors import Conflict, InvalidRequest
from backy_core.sdk.models import (
    BackendInfo,
    DriveId,
    Level,
    MemberReport,
    PoolReport,
    PoolSpec,
    Presence,
    Probe,
    SignatureMatch,
    Tool,
)
from backy_core.sdk.plan import (
    Action,
    Arg,
    BackendPlan,
    Blank,
    DriveRef,
    Exec,
    MemberIs,
    PoolIs,
    Step,
    WipeMember,
)
from backy_mdadm import __version__, argv
from backy_mdadm.inspect import SIGNATURE, look

_LEVELS = (
    Level(name="raid1", min_drives=1, aliases=("1", "mirror")),
    Level(name="raid0", min_drives=2, aliases=("0", "stripe")),
    Level(name="raid5", min_drives=3, aliases=("5",)),
    Level(name="raid6", min_drives=4, aliases=("6",)),
    Level(name="raid10", min_drives=4, aliases=("10",)),
)
_ACTIVE = PoolIs(presence="active")
_STOP = Exec(argv=argv.stop())


@hookimpl
def backy_backend() -> BackendInfo:
    return BackendInfo(
        name="mdadm",
        version=__version__,
        levels=_LEVELS,
        filesystems=("ext4", "xfs", "btrfs"),
        capabilities=frozenset(("add_drive", "degraded_open", "import")),
        tools=(Tool(name="mdadm", package="mdadm"),),
        read_commands=(argv.EXAMINE,),
        signature_types=(SIGNATURE, "isw_raid_member", "ddf_raid_member"),
    )


@hookimpl
async def backy_inspect(probe: Probe) -> Sequence[PoolReport]:
    return await look(probe)


@hookimpl
def backy_plan_create(pool: PoolSpec, drives: tuple[DriveId, ...]) -> BackendPlan:
    stamp = _stamp(pool)
    wipes: tuple[Action, ...] = tuple(WipeMember(drive=drive, bears=(stamp,)) for drive in drives)
    create = Step(
        id="create-array",
        title=f"Creating {pool.level} array of {len(drives)} drive{'s' * (len(drives) > 1)}",
        run=Exec(argv=argv.create(pool.guid, pool.level, drives)),
        # Superblocks are written before the array starts, so a failed create leaves members
        # that udev assembles: stop whatever bears the UUID, then wipe.
        undo=(_STOP, *wipes),
        undo_expect=tuple(Blank(on=DriveRef(drive=drive)) for drive in drives),
        expect=(_ACTIVE,),
    )
    return BackendPlan(steps=(create,), stamps=(stamp,))


@hookimpl
def backy_plan_open(pool: PoolSpec, report: PoolReport, degraded: bool) -> BackendPlan:
    if report.presence == "active":
        return BackendPlan(steps=(), goal=(_ACTIVE,), stamps=(_stamp(pool),))
    assemble = Step(
        id="assemble-array",
        title="Assembling the array",
        run=Exec(argv=_assemble(pool, report, degraded)),
        # mdadm leaves an array it will not start inactive, holding the drives: trying again
        # would only find them busy.
        undo=(_STOP,),
        expect=(_ACTIVE,),
        already="skip",
    )
    stop = (_stop(report),) if report.presence == "inactive" else ()
    return BackendPlan(steps=(*stop, assemble), goal=(_ACTIVE,), stamps=(_stamp(pool),))


@hookimpl
def backy_plan_close(pool: PoolSpec, report: PoolReport) -> BackendPlan:
    stop = _stop(report)
    return BackendPlan(steps=(stop,), goal=stop.expect, stamps=(_stamp(pool),))


@hookimpl
def backy_plan_teardown(pool: PoolSpec, report: PoolReport) -> BackendPlan:
    return backy_plan_close(pool, report)


@hookimpl
def backy_plan_add_drive(
    pool: PoolSpec, report: PoolReport, drive: DriveId, replaces: DriveId | None
) -> BackendPlan:
    """A stale member returns by its bitmap if md allows, else wiped and rebuilt. A diverged one
    is wiped: the core hands it over only once that was asked for by name."""
    mine = _member(report, drive)
    old = _member(report, replaces) if replaces else None
    if mine is None or mine.state not in ("active", "rebuilding", "spare"):
        _refuse_full(report, drive, old)
    joined = MemberIs(drive=drive, states=("rebuilding", "active", "spare"))
    steps = (*_return(pool, mine, joined), _add(drive, joined), *_retire(report, drive, old))
    # To be a spare is enough for one that md will fill, not for one that is to replace another.
    goal = steps[-1].expect or (joined,)
    return BackendPlan(steps=steps, goal=goal, stamps=(_stamp(pool),))


@hookimpl
def backy_plan_import(pool: PoolSpec, report: PoolReport) -> BackendPlan:
    """An array is adopted as it is; nothing is written to its members."""
    return BackendPlan(steps=(), stamps=(_stamp(pool),))


def _stamp(pool: PoolSpec) -> SignatureMatch:
    return SignatureMatch(type=SIGNATURE, uuid=pool.identity.lower())


def _stop(report: PoolReport) -> Step:
    """mdadm opens the array exclusively without trying again, so any look at it by udev or a
    monitor fails the stop; and udev may assemble the members once more."""
    here = any(member.device for member in report.members)
    presence: Presence = "stopped" if here else "absent"
    return Step(
        id="stop-array",
        title="Stopping the array",
        run=_STOP,
        expect=(PoolIs(presence=presence),),
        already="skip",
        effect="none",
        retry_s=30,
        stable_s=1,
    )


def _assemble(pool: PoolSpec, report: PoolReport, degraded: bool) -> tuple[Arg, ...]:
    good = [each for each in report.members if each.state in ("active", "rebuilding", "spare")]
    members = [_ref(each.drive, each) for each in good if each.drive]
    if not members:
        raise Conflict(f"No usable drive of the pool {pool.label} is connected.")
    return argv.assemble(pool.guid, pool.identity, members, degraded=degraded)


def _return(pool: PoolSpec, mine: MemberReport | None, joined: MemberIs) -> tuple[Step, ...]:
    """Steps before the plain add, for a drive that bears this pool's stamp. Each later step is
    skipped once the drive is in."""
    if mine is None or mine.state in ("active", "rebuilding", "spare"):
        return ()
    wipe = Step(
        id="wipe-member",
        title=f"Wiping the old state of {joined.drive}",
        run=WipeMember(drive=joined.drive, bears=(_stamp(pool),)),
        when=(MemberIs(drive=joined.drive, states=("stale",)),) if mine.state == "stale" else (),
        effect="destroys",
    )
    if mine.state == "failed":
        return (_remove_failed(), wipe)
    return (_re_add(joined.drive, mine), wipe) if mine.state == "stale" else (wipe,)


def _re_add(drive: DriveId, mine: MemberReport) -> Step:
    return Step(
        id="re-add-member",
        title=f"Taking {drive} back",
        run=Exec(argv=argv.re_add(_ref(drive, mine)), ok_codes=(0, 1, 2)),
        effect="pivot",
    )


def _add(drive: DriveId, joined: MemberIs) -> Step:
    return Step(
        id="add-drive",
        title=f"Adding {drive}",
        run=Exec(argv=argv.add(drive), final_words=("not large enough to join array",)),
        expect=(joined,),
        already="skip",
        effect="pivot",
        retry_s=5,
    )


def _retire(report: PoolReport, drive: DriveId, old: MemberReport | None) -> tuple[Step, ...]:
    """What becomes of the member whose place is taken. A failed one stays in the array, and in
    every list of its members, until it is let go."""
    if old is None or old.drive is None or old.state != "active":
        failed = {m.drive for m in report.members if m.state == "failed"}
        return (_remove_failed(),) if failed and drive not in failed else ()
    replace = Exec(argv=argv.replace(_ref(old.drive, old), drive))
    swapped = MemberIs(drive=drive, states=("rebuilding", "active"))
    return (
        Step(
            id="replace-member",
            title=f"Replacing {old.drive} by {drive}",
            run=replace,
            expect=(swapped,),
            already="skip",
            effect="pivot",
        ),
    )


def _remove_failed() -> Step:
    return Step(
        id="remove-failed",
        title="Letting go of failed members",
        run=Exec(argv=argv.remove_failed()),
        effect="none",
    )


def _member(report: PoolReport, drive: DriveId) -> MemberReport | None:
    return next((member for member in report.members if member.drive == drive), None)


def _ref(drive: DriveId, member: MemberReport) -> DriveRef:
    return DriveRef(drive=drive, part=argv.partition_of(member.device or ""))


def _refuse_full(report: PoolReport, drive: DriveId, old: MemberReport | None) -> None:
    if report.level in ("raid0", "linear"):
        raise InvalidRequest(f"A {report.level} pool has no redundancy and takes no replacement.")
    if report.degraded and old is not None and old.state == "active":
        raise Conflict(
            "The pool is degraded, so a new drive takes the missing member's place first.",
            hint="Leave out the drive to be replaced.",
        )
    if report.degraded or old is not None:
        return
    raise Conflict(
        f"All members of the pool are present, so {drive} is not needed.",
        hint="Name the drive that it replaces.",
    )
