"""The hooks of the ZFS backend: they choose, :mod:`argv` words it, the core acts.

A pool is a zpool named for its GUID with one filesystem, its root. ZFS mounts it where the
dataset's mount point says, so plans set that and mount; the core proves what is mounted, and
unmounts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backy_core.sdk import hookimpl
from backy_core.sdk.errors import Conflict
from backy_core.sdk.models import (
    BackendInfo,
    DriveId,
    Level,
    PoolReport,
    PoolSpec,
    Probe,
    Requirement,
    Tool,
    Unreadable,
)
from backy_core.sdk.naming import pool_name
from backy_core.sdk.plan import (
    Arg,
    BackendPlan,
    Exec,
    MountedAt,
    NotMounted,
    PoolIs,
    Step,
    blank,
    release,
    wipes,
)
from backy_zfs import __version__, argv, features
from backy_zfs.datasets import with_others
from backy_zfs.growth import backy_plan_add_drive as backy_plan_add_drive
from backy_zfs.inspect import look
from backy_zfs.module_features import with_features
from backy_zfs.naming import SIGNATURE, TABLE, name_of, plan_of, stamp

_LEVELS = (
    Level(name="mirror", min_drives=2, copies=None, aliases=("raid1", "1")),
    Level(name="raidz1", min_drives=3, parity=1, aliases=("raidz", "raid5")),
    Level(name="raidz2", min_drives=4, parity=2, aliases=("raid6",)),
    Level(name="raidz3", min_drives=5, parity=3),
    Level(name="stripe", min_drives=2, exchanges=True, aliases=("raid0", "0")),
    Level(name="single", min_drives=1, max_drives=1, exchanges=True),
)
_ACTIVE = PoolIs(presence="active")
_STOPPED = PoolIs(presence="stopped")
_FINAL = ("usage:", "less than the minimum size")
"""What the tools print where trying again is in vain."""
_FINAL_IMPORT = ("Recovery is possible", features.UNSUPPORTED)


@hookimpl
def backy_backend() -> BackendInfo:
    return BackendInfo(
        name="zfs",
        version=__version__,
        levels=_LEVELS,
        filesystems=("zfs",),
        delivers="filesystem",
        capabilities=frozenset(("add_drive", "degraded_open", "force_open", "import")),
        tools=(
            *(
                Tool(name=name, package=features.PACKAGE, oldest=features.OLDEST)
                for name in ("zpool", "zfs", "zdb")
            ),
            Tool(name="mount", package="mount"),
        ),
        read_commands=(
            *(argv.STATUS, argv.IDS, argv.PROPERTIES, argv.DATASETS, argv.LABEL),
            *(argv.NEWEST, argv.EARLIER),
        ),
        signature_types=(SIGNATURE,),
        sectors="hidden",
        refresh_s=15,  # a member that fails gives no event of the kernel's
    )


@hookimpl
async def backy_inspect(probe: Probe) -> Sequence[PoolReport | Unreadable]:
    return await with_features(probe, await with_others(probe, await look(probe)))


@hookimpl
def backy_plan_create(pool: PoolSpec, drives: tuple[DriveId, ...]) -> BackendPlan:
    name, own_stamp = pool_name(pool.guid), stamp(pool)
    # A create that fails half-way leaves the partition table alone on a drive that was blank.
    create = Step(
        id="create-pool",
        title=f"Creating {pool.level} zpool of {len(drives)} drive{'s' * (len(drives) > 1)}",
        run=Exec(argv=argv.create(pool.guid, pool.level, drives), final_words=_FINAL),
        undo=(Exec(argv=argv.destroy(name), ok_codes=(0, 1)), *wipes(drives, own_stamp, *TABLE)),
        undo_expect=blank(drives),
        expect=(_ACTIVE,),
        # zpool partitions the drives and waits for udev's links, which a held lock would keep
        # away; while udev looks once more the kernel may find them gone ("is currently
        # unavailable"), and nothing is written yet.
        device_lock="release",
        retry_s=60,  # it waits for udev up to 30 s itself
    )
    if pool.portability == "native":
        return plan_of(pool, create, *_mount(pool, name))
    # zfs-fuse, whose pools every OpenZFS imports, does not know the property.
    portable = Exec(argv=argv.create_portable(pool.guid, pool.level, drives), ok_codes=(0, 2))
    first = create.model_copy(update={"run": portable, "expect": ()})
    update = {
        "id": "create-pool-fuse",
        "title": f"{create.title} with zfs-fuse",
        "if_satisfied": "skip",
    }
    return plan_of(pool, first, create.model_copy(update=update), *_mount(pool, name))


@hookimpl
def backy_plan_open(pool: PoolSpec, report: PoolReport, force: bool) -> BackendPlan:
    """A zpool whose newest state cannot be read goes back to an earlier one: by force only to be
    seen. The ordinary open after that makes it last."""
    name = name_of(pool)
    if report.presence == "active":
        return plan_of(pool, *_mount(pool, report.name or name, report), goal=_ACTIVE)
    _refuse_members(report)
    if force:
        steps = (_import_read_only(pool, report), _mount_read_only(pool, report))
        return plan_of(pool, *steps, goal=_ACTIVE)
    earlier = report.needs_force is not None
    title = "Taking the zpool back for good" if earlier else "Importing the zpool"
    unmounted = _import(
        report,
        "import-pool",
        title,
        Exec(
            argv=argv.import_unmounted(name, earlier=earlier),
            ok_codes=(0, 2),
            final_words=_FINAL_IMPORT,
        ),
        effect="destroys" if earlier else "reversible",
    )
    otherwise = _import(
        report,
        "import-pool-fuse",
        f"{title} with zfs-fuse",
        Exec(argv=argv.import_fuse(name, earlier=earlier), final_words=_FINAL_IMPORT),
        expect=(_ACTIVE,),
        if_satisfied="skip",
        effect="destroys" if earlier else "reversible",
    )
    # zfs-fuse mounts what was mounted when the power went, without the options.
    bare = Step(
        id="unmount-import",
        title="Unmounting what the import mounted",
        run=Exec(argv=argv.unmount(report.name or name), ok_codes=(0, 1)),
        effect="none",
    )
    mount = _mount(pool, report.name or name, report)
    return plan_of(pool, unmounted, otherwise, bare, *mount, goal=_ACTIVE)


@hookimpl
def backy_plan_close(pool: PoolSpec, report: PoolReport) -> BackendPlan:
    name = report.name or name_of(pool)
    # Where zfs-fuse mounts what it imports; a pool that no longer answers is exported without.
    forget = Step(
        id="forget-mount-point",
        title="Clearing the mount point",
        run=Exec(argv=argv.set_property(name, "mountpoint=none"), ok_codes=(0, 1)),
        effect="none",
    )
    steps = (forget,) if report.guid else ()
    export = release("release-pool", "Exporting the zpool", Exec(argv=argv.export(name)))
    return plan_of(pool, *steps, export, goal=_STOPPED)


@hookimpl
def backy_plan_teardown(pool: PoolSpec, report: PoolReport) -> BackendPlan:
    """Labels outlive a destroyed zpool; the core wipes them."""
    command = argv.destroy(report.name or name_of(pool))
    destroy = release("release-pool", "Destroying the zpool", Exec(argv=command))
    return plan_of(pool, destroy, goal=_STOPPED)


@hookimpl
def backy_explain(output: str) -> Sequence[Requirement]:
    return features.refused(output)


def _mount(pool: PoolSpec, name: str, report: PoolReport | None = None) -> tuple[Step, ...]:
    """Steps that mount the pool at ``pool.mount_path``. A zpool made elsewhere may mount itself
    as soon as it has a mount point, without the options; ours do not."""
    settings = [f"mountpoint={pool.mount_path}"]
    if report is not None and report.guid is None:
        settings = ["canmount=noauto", "setuid=off", "devices=off", *settings]
    prepare = (
        Step(
            id=f"set-{setting.partition('=')[0]}",
            title="Preparing the mount",
            run=Exec(argv=argv.set_property(name, setting)),
            effect="none",
        )
        for setting in settings
    )
    return (*prepare, _mount_by(pool, name, argv.mount(name)))


def _mount_by(
    pool: PoolSpec, name: str, command: tuple[Arg, ...], *, read_only: bool = False
) -> Step:
    assert pool.mount_path
    return Step(
        id="mount",
        title=f"Mounting at {pool.mount_path}{' read-only' * read_only}",
        run=Exec(argv=command),
        undo=(Exec(argv=argv.unmount(name), ok_codes=(0, 1)),),
        undo_expect=(NotMounted(path=pool.mount_path),),
        expect=(MountedAt(path=pool.mount_path, read_only=read_only), _ACTIVE),
        if_satisfied="skip",
    )


def _import(report: PoolReport, step: str, title: str, run: Exec, **more: Any) -> Step:
    """A step that is rolled back by exporting the zpool."""
    export = Exec(argv=argv.export(report.name or report.native_id), ok_codes=(0, 1))
    return Step(id=step, title=title, run=run, undo=(export,), undo_expect=(_STOPPED,), **more)


def _import_read_only(pool: PoolSpec, report: PoolReport) -> Step:
    run = Exec(argv=argv.import_read_only(name_of(pool)), final_words=("usage:",))
    title = "Importing an earlier state of the zpool read-only"
    return _import(report, "import-pool", title, run, expect=(_ACTIVE,))


def _mount_read_only(pool: PoolSpec, report: PoolReport) -> Step:
    """Of a zpool that is imported read-only the mount point cannot be set."""
    assert pool.mount_path
    name = report.name or name_of(pool)
    return _mount_by(pool, name, argv.mount_read_only(name, pool.mount_path), read_only=True)


def _refuse_members(report: PoolReport) -> None:
    """ZFS imports every member it finds."""
    if any(member.state == "diverged" for member in report.members):
        raise Conflict(
            "Members of the pool were used separately, and ZFS would copy one over the other.",
            hint="Unplug what is not to be kept, mount the pool, and add it again with wipe",
        )
    if not any(member.state in ("active", "stale") for member in report.members):
        raise Conflict("No usable drive of the pool is connected.", details=report.detail)
