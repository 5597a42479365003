"""Btrfs over whole drives as a Backy backend: the pool's GUID is the filesystem's UUID."""

import re
from collections.abc import Sequence

from backy_core.sdk import hookimpl, models, steps
from backy_core.sdk.errors import SystemFailure
from backy_core.sdk.models import DriveId, PoolReport, PoolSpec
from backy_core.sdk.naming import pool_name
from backy_core.sdk.plan import BackendPlan, DriveRef, Exec, Join, PoolIs, Step

DUMP = ("btrfs", "inspect-internal", "dump-super", "--full")
FIELD = re.compile(r"(?m)(?:^|type )(fsid|label|generation|num_devices|SYSTEM)[\t|]+(.*)$")
SHAPES = (("raid1", 2, 2), ("raid0", 2, 1), ("raid10", 4, 2), ("single", 1, 1))
LEVELS = tuple(models.Level(name=n, min_drives=least, copies=c) for n, least, c in SHAPES)
TOOLS = {"btrfs-progs": ("btrfs", "mkfs.btrfs"), "mount": ("mount", "umount")}


@hookimpl
def backy_backend() -> models.BackendInfo:
    return models.BackendInfo(
        name="btrfs",
        version="0.1.0",
        levels=LEVELS,
        filesystems=("btrfs",),
        delivers="filesystem",  # its plans mount it; the core checks that they did
        tools=tuple(models.Tool(name=n, package=p) for p, names in TOOLS.items() for n in names),
        read_commands=(DUMP,),
        signature_types=("btrfs",),
    )


@hookimpl
def backy_plan_create(pool: PoolSpec, drives: tuple[DriveId, ...]) -> BackendPlan:
    metadata = "dup" if pool.level == "single" else pool.level
    make = ("mkfs.btrfs", "--force", "-q", "--uuid", pool.guid, "--label", pool_name(pool.guid))
    step = Step(
        id="make-filesystem",
        title=f"Making a {pool.level} btrfs of {len(drives)} drives",
        run=Exec(argv=(*make, "--data", pool.level, "--metadata", metadata, *map(_ref, drives))),
        undo=steps.wipes(drives, *_stamps(pool)),
        undo_expect=steps.blank(drives),
        expect=(steps.STOPPED,),
    )
    return _plan(pool, steps.ACTIVE, step, _mount(pool, drives))


@hookimpl
def backy_plan_open(pool: PoolSpec, report: PoolReport) -> BackendPlan:
    return _plan(pool, steps.ACTIVE, _mount(pool, report.drives))


@hookimpl
def backy_plan_close(pool: PoolSpec, report: PoolReport) -> BackendPlan:
    # The core has unmounted it; the kernel remembers which drives belong together.
    forget = ("btrfs", "device", "scan", "--forget", *map(_ref, report.drives))
    run = Exec(argv=forget, ok_codes=(0, 1))  # 1: a drive on its own is forgotten already
    step = steps.release("forget-drives", "Forgetting the drives", run, if_satisfied="run")
    return _plan(pool, steps.STOPPED, step)


@hookimpl
async def backy_inspect(probe: models.Probe) -> Sequence[PoolReport]:
    devices = sorted({stamp.device for stamp in probe.signatures if stamp.type == "btrfs"})
    if not devices:
        return ()
    dumped = await probe.run(*DUMP, *(f"/dev/{device}" for device in devices))
    if dumped.code != 0:
        raise SystemFailure("The btrfs drives cannot be read.", details=dumped.stderr)
    (mountinfo,) = await probe.read("/proc/self/mountinfo")
    mounted = re.findall(r" - btrfs (\S+) ", mountinfo or "")
    pools: dict[str, dict[str, dict[str, str]]] = {}
    for section in dumped.stdout.split("superblock: ")[1:]:
        device, fields = re.search(r"device=/dev/(\S+)", section), dict(FIELD.findall(section))
        if device and "fsid" in fields:
            pools.setdefault(fields["fsid"], {})[device[1]] = fields
    return tuple(_report(uuid, found, mounted) for uuid, found in sorted(pools.items()))


def _report(uuid: str, found: dict[str, dict[str, str]], mounted: list[str]) -> PoolReport:
    """``found``: the superblock's fields by kernel name."""
    newest = max(found.values(), key=lambda fields: _number(fields, "generation"))
    source = next((node for name in found if (node := f"/dev/{name}") in mounted), None)
    members = [_member(name, fields, newest) for name, fields in found.items()]
    missing = max(0, min(_number(newest, "num_devices"), 1024) - len(found))
    return PoolReport(
        native_id=uuid,
        guid=uuid if newest.get("label") == pool_name(uuid) else None,
        name=newest.get("label"),
        level=newest.get("SYSTEM", "single").lower().replace("dup", "single"),
        presence="active" if source else "stopped",
        health="inactive" if not source else "degraded" if missing else "active",
        degraded=missing > 0,
        source=source,
        expected_members=len(found) + missing,
        members=(*members, *[models.MemberReport(device=None, state="missing")] * missing),
        detail=f"{missing} of its drives are missing." if missing else None,
    )


def _member(name: str, fields: dict[str, str], newest: dict[str, str]) -> models.MemberReport:
    stale = fields.get("generation") != newest.get("generation")
    return models.MemberReport(device=name, state="stale" if stale else "active")


def _mount(pool: PoolSpec, drives: Sequence[DriveId]) -> Step:
    assert pool.mount_path
    each = (Join(sep="=", parts=("device", _ref(drive))) for drive in drives)
    options = Join(sep=",", parts=("nosuid", "nodev", *each))
    device, path = _ref(drives[0]), pool.mount_path
    run = Exec(argv=("mount", "-t", "btrfs", "-o", options, device, path))
    return steps.mount(path, run, Exec(argv=("umount", "--", path), ok_codes=(0, 1, 32)))


def _plan(pool: PoolSpec, goal: PoolIs, *planned: Step) -> BackendPlan:
    return BackendPlan(steps=planned, goal=(goal,), stamps=_stamps(pool), delivers="filesystem")


def _stamps(pool: PoolSpec) -> tuple[models.SignatureMatch, ...]:
    return (models.SignatureMatch(type="btrfs", uuid=pool.identity),)


def _ref(drive: DriveId) -> DriveRef:
    return DriveRef(drive=drive)


def _number(fields: dict[str, str], name: str) -> int:
    text = fields.get(name, "")
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else 0
