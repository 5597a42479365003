"""The hooks of the mdadm backend: they choose, :mod:`argv` words it, the core acts.

The pool's GUID is the array's UUID. Kernel names and ``/dev/md`` links are never relied on:
every plan names the array by :class:`PoolDevice` and members by drive.
"""

from __future__ import annotations

from backy_core.sdk import hookimpl
from backy_core.sdk.errors import Conflict
from backy_core.sdk.models import BackendInfo, DriveId, PoolReport, PoolSpec, Presence, Tool
from backy_core.sdk.plan import Arg, BackendPlan, Effect, Exec, Step
from backy_core.sdk.steps import ACTIVE, blank, members, release, wipes
from backy_mdadm import __version__, argv
from backy_mdadm.add_drive import backy_plan_add_drive as backy_plan_add_drive
from backy_mdadm.examine import EXAMINE
from backy_mdadm.features import BLOCK_SIZE, UNWRITTEN
from backy_mdadm.inspect import backy_inspect as backy_inspect
from backy_mdadm.levels import CAPABILITIES, LEVELS, OTHER_LEVELS
from backy_mdadm.naming import SIGNATURE
from backy_mdadm.stamps import stamp
from backy_mdadm.standing import FORCED

_STOP = Exec(argv=argv.stop())
_TOO_FEW = ("use --run to insist",)
"""What mdadm says of an array whose last active members are not all here."""


@hookimpl
def backy_backend() -> BackendInfo:
    return BackendInfo(
        name="mdadm",
        version=__version__,
        levels=LEVELS,
        other_levels=OTHER_LEVELS,
        filesystems=("ext4", "xfs", "btrfs"),
        capabilities=CAPABILITIES,
        tools=(Tool(name="mdadm", package="mdadm", oldest="4.2", version=("--version",)),),
        read_commands=(EXAMINE,),
        signature_types=(SIGNATURE, "isw_raid_member", "ddf_raid_member"),
        sectors="raised",
    )


@hookimpl
def backy_plan_create(pool: PoolSpec, drives: tuple[DriveId, ...]) -> BackendPlan:
    own_stamps = (stamp(pool),)
    create = Step(
        id="create-array",
        title=f"Creating {pool.level} array of {len(drives)} drive{'s' * (len(drives) > 1)}",
        run=Exec(argv=argv.create(pool.guid, pool.level, drives)),
        # Superblocks are written before the array starts, so a failed create leaves members
        # that udev assembles: stop whatever bears the UUID, then wipe.
        undo=(_STOP, *wipes(drives, *own_stamps)),
        undo_expect=blank(drives),
        expect=(ACTIVE,),
    )
    # Of all that mdadm 4.6 and Linux 7.2 offer nothing keeps it out of an array with a name.
    requires = () if pool.level in UNWRITTEN else (BLOCK_SIZE,)
    return BackendPlan(steps=(create,), stamps=own_stamps, requires=requires)


@hookimpl
def backy_plan_open(pool: PoolSpec, report: PoolReport, degraded: bool, force: bool) -> BackendPlan:
    if report.presence == "active":
        return BackendPlan(steps=(), goal=(ACTIVE,), stamps=(stamp(pool),))
    stop = (_stop(report),) if report.presence == "inactive" else ()
    start = _start_by_force(pool, report) if force else _start_again(pool, report, degraded)
    return BackendPlan(steps=(*stop, start), goal=(ACTIVE,), stamps=(stamp(pool),))


@hookimpl
def backy_plan_close(pool: PoolSpec, report: PoolReport) -> BackendPlan:
    stop = _stop(report)
    return BackendPlan(steps=(stop,), goal=stop.expect, stamps=(stamp(pool),))


def _stop(report: PoolReport) -> Step:
    """udev may assemble the members once more."""
    connected = any(member.device for member in report.members)
    presence: Presence = "stopped" if connected else "absent"
    return release("stop-array", "Stopping the array", _STOP, presence=presence, stable_s=1)


def _start_again(pool: PoolSpec, report: PoolReport, degraded: bool) -> Step:
    usable = members(report, "active", "rebuilding", "spare")
    if not usable:
        raise Conflict(f"No usable drive of the pool {pool.label} is connected.")
    forced = degraded and any(member.behind == FORCED for member in report.members)
    assemble = argv.assemble(
        pool.guid, pool.identity, usable, degraded=degraded, forced_before=forced
    )
    # With every member here, one may only be busy: udev assembles them as they come.
    return _start(assemble, final_words=_TOO_FEW if report.degraded else ())


def _start(
    assemble: tuple[Arg, ...],
    title: str = "Assembling the array",
    final_words: tuple[str, ...] = (),
    effect: Effect = "reversible",
) -> Step:
    return Step(
        id="assemble-array",
        title=title,
        run=Exec(argv=assemble, final_words=final_words),
        # mdadm leaves an array it will not start inactive, holding the drives: trying again
        # would only find them busy.
        undo=(_STOP,),
        expect=(ACTIVE,),
        if_satisfied="skip",
        effect=effect,
    )


def _start_by_force(pool: PoolSpec, report: PoolReport) -> Step:
    """It can be stopped again, but event counts that were raised stay so."""
    taken = members(report, "active", "stale")
    assemble = argv.assemble_by_force(pool.guid, pool.identity, taken)
    return _start(assemble, "Assembling the array by force", effect="destroys")
