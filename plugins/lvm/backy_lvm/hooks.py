"""The hooks of the LVM backend: they choose, :mod:`argv` words it, the core acts.

A pool is a volume group ``backy-<guid>`` with one logical volume. Teardown only deactivates it:
the group lives on its members, so wiping them ends it, and a teardown that was cut short still
finds the group on those that are left.
"""

from __future__ import annotations

from backy_core.sdk import hookimpl
from backy_core.sdk.errors import InvalidRequest
from backy_core.sdk.levels import named
from backy_core.sdk.models import BackendInfo, DriveId, PoolReport, PoolSpec, Tool
from backy_core.sdk.plan import BackendPlan, Step
from backy_core.sdk.steps import ACTIVE, STOPPED, release
from backy_lvm import __version__
from backy_lvm.add_drive import backy_plan_add_drive as backy_plan_add_drive
from backy_lvm.add_drive import create_member
from backy_lvm.argv import FAILED, VolumeGroup
from backy_lvm.inspect import backy_inspect as backy_inspect
from backy_lvm.levels import LEVELS
from backy_lvm.naming import SIGNATURE
from backy_lvm.parse import REPORT
from backy_lvm.stamps import pv_uuid, stamps


@hookimpl
def backy_backend() -> BackendInfo:
    return BackendInfo(
        name="lvm",
        version=__version__,
        levels=LEVELS,
        filesystems=("ext4", "xfs", "btrfs"),
        capabilities=frozenset(("add_drive", "degraded_open", "import", "scoped_inspect")),
        tools=(
            # What is made here has not changed on the drives since, with any lvm2 or kernel.
            Tool(name="lvm", package="lvm2", oldest="2.03.16", version=("version",)),
            Tool(name="dmsetup", package="dmsetup"),
        ),
        read_commands=(REPORT,),
        signature_types=(SIGNATURE,),
    )


@hookimpl
def backy_plan_create(pool: PoolSpec, drives: tuple[DriveId, ...]) -> BackendPlan:
    if pool.level == "raid10" and len(drives) % 2:
        raise InvalidRequest("raid10 on LVM takes an even number of drives.")
    group = VolumeGroup.new(pool.guid, drives)
    members = [
        create_member(f"create-member-{drive}", drive, pv_uuid(pool.guid, drive))
        for drive in drives
    ]
    create_group = Step(
        id="create-group",
        title=f"Creating volume group of {len(drives)} drive{'s' * (len(drives) > 1)}",
        run=group.create(pool.guid),
        # The group lives on its members: it needs no removal of its own.
        undo=tuple(action for member in members for action in member.undo),
    )
    create_volume = Step(
        id="create-volume",
        title=f"Creating {pool.level} volume",
        run=group.create_volume(pool.level),
        undo=(group.deactivate(drives, FAILED),),
        undo_expect=(STOPPED,),
        # LVM itself refuses names that are taken, and each look at the pool is a process.
        expect=(ACTIVE,),
    )
    return BackendPlan(steps=(*members, create_group, create_volume), stamps=stamps(pool))


@hookimpl
def backy_plan_open(pool: PoolSpec, report: PoolReport) -> BackendPlan:
    steps = () if report.presence == "active" else _activate(pool, report)
    return BackendPlan(steps=steps, goal=(ACTIVE,), stamps=stamps(pool, report))


@hookimpl
def backy_plan_close(pool: PoolSpec, report: PoolReport) -> BackendPlan:
    group = VolumeGroup.of(pool, report)
    # A member that left while the pool ran is behind; without the mark it would come back
    # unquestioned, also after it was used alone.
    marks = _mark_apart(group, report, FAILED) if report.presence == "active" else ()
    return BackendPlan(steps=(*marks, _deactivate(group, report)), stamps=stamps(pool, report))


@hookimpl
def backy_plan_teardown(pool: PoolSpec, report: PoolReport) -> BackendPlan:
    step = _deactivate(VolumeGroup.of(pool, report), report)
    return BackendPlan(steps=(step,), stamps=stamps(pool, report))


def _activate(pool: PoolSpec, report: PoolReport) -> tuple[Step, ...]:
    group = VolumeGroup.of(pool, report)
    activate = Step(
        id="activate",
        title="Activating the volume",
        run=group.activate("degraded" if report.degraded else "complete"),
        undo=(group.deactivate(group.members),),
        undo_expect=(STOPPED,),
        expect=(ACTIVE,),
    )
    stop = (_deactivate(group, report),) if report.presence == "inactive" else ()
    return (*stop, *_mark_apart(group, report), activate)


def _mark_apart(group: VolumeGroup, report: PoolReport, *also_ok: int) -> tuple[Step, ...]:
    # A copy of a member has the handle of the one in use.
    present = {member.handle for member in report.members if member.in_place}
    handles = (member.handle for member in report.members)
    missing = [handle for handle in handles if handle and handle not in present]
    # Without copies no member can be used apart from another.
    if not missing or not group.members or not named(LEVELS, report.level).redundant:
        return ()
    step = Step(
        id="mark-missing",
        title="Recording which members are missing",
        run=group.mark_apart(missing, *also_ok),
    )
    return (step,)


def _deactivate(group: VolumeGroup, report: PoolReport) -> Step:
    run = group.deactivate(report.drives) if report.drives else group.remove_mappings()
    # LVM does nothing where nothing is active, and each look at the pool is a process.
    return release("deactivate", "Deactivating the volume", run, if_satisfied="run")
