"""The hooks of the LVM backend: they choose, :mod:`argv` words it, the core acts.

A pool is a volume group ``backy-<guid>`` with one logical volume. Teardown only deactivates it:
the group lives on its members, so wiping them ends it, and a teardown that was cut short still
finds the group on those that are left.
"""

from __future__ import annotations

from collections.abc import Sequence

from backy_core.sdk import hookimpl
from backy_core.sdk.errors import Conflict, InvalidRequest
from backy_core.sdk.models import (
    BackendInfo,
    DriveId,
    PoolReport,
    PoolSpec,
    Probe,
    Tool,
    Unreadable,
)
from backy_core.sdk.naming import pool_name
from backy_core.sdk.plan import BackendPlan, Exec, PoolIs, Step, release
from backy_lvm import __version__, argv
from backy_lvm.growth import backy_plan_add_drive as backy_plan_add_drive
from backy_lvm.growth import create_member
from backy_lvm.inspect import look
from backy_lvm.levels import LEVELS, is_redundant, survives
from backy_lvm.naming import SIGNATURE, Named, stamps

_ACTIVE = PoolIs(presence="active")
_STOPPED = PoolIs(presence="stopped")
_LEFT_BEHIND = ("missing", "failed", "stale", "diverged")


@hookimpl
def backy_backend() -> BackendInfo:
    return BackendInfo(
        name="lvm",
        version=__version__,
        levels=LEVELS,
        filesystems=("ext4", "xfs", "btrfs"),
        capabilities=frozenset(("add_drive", "degraded_open", "import")),
        tools=(
            # What is made here has not changed on the drives since, with any lvm2 or kernel.
            Tool(name="lvm", package="lvm2", oldest="2.03.16"),
            Tool(name="dmsetup", package="dmsetup"),
        ),
        read_commands=(argv.REPORT,),
        signature_types=(SIGNATURE,),
    )


@hookimpl
async def backy_inspect(probe: Probe) -> Sequence[PoolReport | Unreadable]:
    return await look(probe)


@hookimpl
def backy_plan_create(pool: PoolSpec, drives: tuple[DriveId, ...]) -> BackendPlan:
    if pool.level == "raid10" and len(drives) % 2:
        raise InvalidRequest("raid10 on LVM takes an even number of drives.")
    members = [
        create_member(f"create-member-{drive}", drive, argv.pv_uuid(pool.guid, drive))
        for drive in drives
    ]
    group = Step(
        id="create-group",
        title=f"Creating volume group of {len(drives)} drive{'s' * (len(drives) > 1)}",
        run=Exec(argv=argv.create_group(pool.guid, drives)),
        # The group lives on its members: it needs no removal of its own.
        undo=tuple(action for member in members for action in member.undo),
    )
    volume = Step(
        id="create-volume",
        title=f"Creating {pool.level} volume",
        run=Exec(argv=argv.create_volume(pool.guid, pool.level, drives)),
        undo=(Exec(argv=argv.deactivate((pool_name(pool.guid),), drives), ok_codes=(0, 5)),),
        undo_expect=(_STOPPED,),
        # LVM itself refuses names that are taken, and each look at the pool is a process.
        expect=(_ACTIVE,),
    )
    return BackendPlan(steps=(*members, group, volume), stamps=stamps(pool))


@hookimpl
def backy_plan_open(pool: PoolSpec, report: PoolReport) -> BackendPlan:
    if report.presence == "active":
        return BackendPlan(steps=(), goal=(_ACTIVE,), stamps=stamps(pool, report))
    named = Named.of(pool, report)
    _refuse_too_few(pool, report)
    mode = "degraded" if report.degraded else "complete"
    activate = Step(
        id="activate",
        title="Activating the volume",
        run=Exec(argv=argv.activate(named.selected, named.good, mode, named.group)),
        undo=(Exec(argv=argv.deactivate(named.selected, named.good)),),
        undo_expect=(_STOPPED,),
        expect=(_ACTIVE,),
    )
    stop = (_deactivate(named),) if report.presence == "inactive" else ()
    steps = (*stop, *_mark_apart(named, report), activate)
    return BackendPlan(steps=steps, goal=(_ACTIVE,), stamps=stamps(pool, report))


@hookimpl
def backy_plan_close(pool: PoolSpec, report: PoolReport) -> BackendPlan:
    named = Named.of(pool, report)
    # A member that left while the pool ran is behind; without the mark it would come back
    # unquestioned, also after it was used alone.
    marks = _mark_apart(named, report, ok_codes=(0, 5))
    running = report.presence == "active"
    steps = (*(marks if running else ()), _deactivate(named))
    return BackendPlan(steps=steps, stamps=stamps(pool, report))


@hookimpl
def backy_plan_teardown(pool: PoolSpec, report: PoolReport) -> BackendPlan:
    step = _deactivate(Named.of(pool, report))
    return BackendPlan(steps=(step,), stamps=stamps(pool, report))


def _mark_apart(
    named: Named, report: PoolReport, ok_codes: tuple[int, ...] = (0,)
) -> tuple[Step, ...]:
    in_use = {member.handle for member in report.members if member.state not in _LEFT_BEHIND}
    behind = (member.handle for member in report.members if member.state in _LEFT_BEHIND)
    # A copy of a member bears the handle of the one in use.
    missing = [handle for handle in behind if handle and handle not in in_use]
    # Without copies no member can be used apart from another.
    if not missing or not named.good or not is_redundant(report.level):
        return ()
    step = Step(
        id="mark-missing",
        title="Recording which members are missing",
        run=Exec(argv=argv.mark_apart(named.selected, named.good, missing), ok_codes=ok_codes),
    )
    return (step,)


def _deactivate(named: Named) -> Step:
    if named.here:
        run = Exec(argv=argv.deactivate(named.selected, named.here))
    else:
        run = Exec(
            argv=argv.remove_mappings(named.group, named.volume, named.slots), ok_codes=(0, 1)
        )
    # LVM does nothing where nothing is active, and each look at the pool is a process.
    return release("deactivate", "Deactivating the volume", run, if_satisfied="run")


def _refuse_too_few(pool: PoolSpec, report: PoolReport) -> None:
    """LVM activates whatever is left of some levels, without a word."""
    slots = {member.slot for member in report.members if member.state == "active"}
    working = frozenset(slot for slot in slots if slot is not None)
    if not survives(report.level, report.expected_members, working):
        stale = [str(member.drive) for member in report.members if member.state == "stale"]
        left = f": {', '.join(stale)} dropped out while it was in use" if stale else ""
        raise Conflict(
            f"Too few drives of the pool {pool.label} are connected and up to date{left}.",
            details=report.detail,
        )
