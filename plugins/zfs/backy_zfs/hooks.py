"""The hooks of the ZFS backend: they choose, :mod:`argv` words it, the core acts.

A pool is a zpool named for its GUID with one filesystem, its root. ZFS mounts it where the
dataset's mount point says, so plans set that and mount; the core proves what is mounted, and
unmounts.
"""

from __future__ import annotations

from backy_core.sdk import hookimpl
from backy_core.sdk.errors import Conflict
from backy_core.sdk.models import BackendInfo, DriveId, Level, PoolReport, PoolSpec, Tool
from backy_core.sdk.naming import pool_name
from backy_core.sdk.plan import BackendPlan, Exec, Step
from backy_core.sdk.steps import ACTIVE, STOPPED, blank, mount, release, wipes
from backy_zfs import __version__, argv, features, queries
from backy_zfs.add_drive import backy_plan_add_drive as backy_plan_add_drive
from backy_zfs.features import backy_explain as backy_explain
from backy_zfs.imported_pools import backy_poll as backy_poll
from backy_zfs.inspect import backy_inspect as backy_inspect
from backy_zfs.naming import CAPABILITIES, SIGNATURE
from backy_zfs.plans import TABLE, name_of, plan_of, stamp

_LEVELS = (
    Level(name="mirror", min_drives=2, copies=None, aliases=("raid1", "1")),
    Level(name="raidz1", min_drives=3, parity=1, aliases=("raidz", "raid5")),
    Level(name="raidz2", min_drives=4, parity=2, aliases=("raid6",)),
    Level(name="raidz3", min_drives=5, parity=3),
    Level(name="stripe", min_drives=2, exchanges=True, aliases=("raid0", "0")),
    Level(name="single", min_drives=1, max_drives=1, exchanges=True),
)


@hookimpl
def backy_backend() -> BackendInfo:
    return BackendInfo(
        name="zfs",
        version=__version__,
        levels=_LEVELS,
        filesystems=("zfs",),
        delivers="filesystem",
        capabilities=CAPABILITIES,
        tools=(
            *(
                Tool(name=name, package=features.PACKAGE, oldest=features.OLDEST, version=asked)
                for name, asked in (("zpool", ("version",)), ("zfs", ()), ("zdb", ()))
            ),
            Tool(name="mount", package="mount"),
        ),
        read_commands=queries.PREFIXES,
        signature_types=(SIGNATURE,),
        sectors="hidden",
        refresh_s=15,  # a member that fails gives no event of the kernel's
    )


@hookimpl
def backy_plan_create(pool: PoolSpec, drives: tuple[DriveId, ...]) -> BackendPlan:
    name = pool_name(pool.guid)
    plain = argv.create(pool.guid, pool.level, drives)
    create = Step(
        id="create-pool",
        title=f"Creating {pool.level} zpool of {len(drives)} drive{'s' * (len(drives) > 1)}",
        run=plain,
        # A create that fails half-way leaves the partition table alone on a drive that was blank.
        undo=(argv.destroy(name, 1), *wipes(drives, stamp(pool), *TABLE)),
        undo_expect=blank(drives),
        expect=(ACTIVE,),
        # zpool partitions the drives and waits for udev's links, which a held lock would keep
        # away; while udev looks once more the kernel may find them gone ("is currently
        # unavailable"), and nothing is written yet.
        device_lock="release",
        retry_s=60,  # it waits for udev up to 30 s itself
    )
    if pool.portability == "native":
        return plan_of(pool, create, *_mount(pool, name))
    # zfs-fuse, whose pools every OpenZFS imports, does not know the property.
    portable = argv.create_portable(pool.guid, pool.level, drives)
    steps = _or_by_fuse(create.model_copy(update={"run": portable}), plain)
    return plan_of(pool, *steps, *_mount(pool, name))


@hookimpl
def backy_plan_open(pool: PoolSpec, report: PoolReport, force: bool) -> BackendPlan:
    """A zpool whose newest state cannot be read goes back to an earlier one: by force only to be
    seen. The ordinary open after that makes it last."""
    name = report.name or name_of(pool)
    if report.presence == "active":
        return plan_of(pool, *_mount(pool, name, report), goal=ACTIVE)
    _refuse_members(report)
    if not force:
        return plan_of(pool, *_import(pool, report), *_mount(pool, name, report), goal=ACTIVE)
    assert pool.mount_path
    title = "Importing an earlier state of the zpool read-only"
    show = _import_step(report, title, argv.import_read_only(name_of(pool)))
    mount_it = argv.mount_read_only(name, pool.mount_path)
    mounted = mount(pool.mount_path, mount_it, argv.unmount(name), ACTIVE, read_only=True)
    return plan_of(pool, show, mounted, goal=ACTIVE)


@hookimpl
def backy_plan_close(pool: PoolSpec, report: PoolReport) -> BackendPlan:
    name = report.name or name_of(pool)
    # Where zfs-fuse mounts what it imports; a pool that no longer answers is exported without.
    forget = Step(
        id="forget-mount-point",
        title="Clearing the mount point",
        run=argv.set_property(name, "mountpoint=none", 1),
        effect="none",
    )
    export = release("release-pool", "Exporting the zpool", argv.export(name))
    return plan_of(pool, *((forget,) if report.guid else ()), export, goal=STOPPED)


@hookimpl
def backy_plan_teardown(pool: PoolSpec, report: PoolReport) -> BackendPlan:
    """Labels outlive a destroyed zpool; the core wipes them."""
    command = argv.destroy(report.name or name_of(pool))
    return plan_of(pool, release("release-pool", "Destroying the zpool", command), goal=STOPPED)


def _or_by_fuse(step: Step, by_fuse: Exec) -> tuple[Step, Step]:
    """The step as OpenZFS does it, and then as zfs-fuse does it where that is what runs."""
    again = {"id": f"{step.id}-fuse", "title": f"{step.title} with zfs-fuse", "run": by_fuse}
    return (
        step.model_copy(update={"expect": ()}),
        step.model_copy(update={**again, "if_satisfied": "skip"}),
    )


def _import(pool: PoolSpec, report: PoolReport) -> tuple[Step, ...]:
    name, earlier = name_of(pool), report.needs_force is not None
    title = "Taking the zpool back for good" if earlier else "Importing the zpool"
    step = _import_step(report, title, argv.import_unmounted(name, earlier=earlier))
    if earlier:
        step = step.model_copy(update={"effect": "destroys"})
    # zfs-fuse mounts what was mounted when the power went, without the options.
    unmount = Step(
        id="unmount-import",
        title="Unmounting what the import mounted",
        run=argv.unmount(report.name or name),
        effect="none",
    )
    return (*_or_by_fuse(step, argv.import_fuse(name, earlier=earlier)), unmount)


def _import_step(report: PoolReport, title: str, run: Exec) -> Step:
    return Step(
        id="import-pool",
        title=title,
        run=run,
        undo=(argv.export(report.name or report.native_id, 1),),
        undo_expect=(STOPPED,),
        expect=(ACTIVE,),
    )


def _mount(pool: PoolSpec, name: str, report: PoolReport | None = None) -> tuple[Step, ...]:
    """Steps that mount the pool at ``pool.mount_path``. A zpool made elsewhere may mount itself
    as soon as it has a mount point, without the options; ours do not."""
    assert pool.mount_path
    settings = [f"mountpoint={pool.mount_path}"]
    if report is not None and report.guid is None:
        settings = ["canmount=noauto", "setuid=off", "devices=off", *settings]
    prepare = (
        Step(
            id=f"set-{setting.partition('=')[0]}",
            title="Preparing the mount",
            run=argv.set_property(name, setting),
            effect="none",
        )
        for setting in settings
    )
    return (*prepare, mount(pool.mount_path, argv.mount(name), argv.unmount(name), ACTIVE))


def _refuse_members(report: PoolReport) -> None:
    """ZFS imports every member it finds."""
    if any(member.state == "diverged" for member in report.members):
        raise Conflict(
            "Members of the pool were used separately, and ZFS would copy one over the other.",
            hint="Unplug what is not to be kept, mount the pool, and add it again with wipe",
        )
    if not any(member.state in ("active", "stale") for member in report.members):
        raise Conflict("No usable drive of the pool is connected.", details=report.detail)
