"""A small backend whose hooks can be exchanged one by one, and a host for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

from backy_core.plugins.host import PluginHost
from backy_core.plugins.loading import load_backends
from backy_core.sdk import hookimpl
from backy_core.sdk.models import (
    BackendInfo,
    DriveId,
    Level,
    MemberReport,
    PoolReport,
    PoolSpec,
    Probe,
    SignatureMatch,
    Tool,
)
from backy_core.sdk.plan import BackendPlan, DriveRef, Exec, Step, WipeMember

GUID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
DRIVE = DriveId(serial="drive-scsi1", size=1 << 28)
OTHER = DriveId(serial="drive-scsi2", size=1 << 28)
PROBE = cast(Probe, SimpleNamespace())

POOL = PoolSpec(
    guid=GUID,
    label="shelf",
    level="single",
    filesystem="ext4",
    fs_uuid=GUID,
    mount_path="/mnt/backy/x",
    drives=(DRIVE,),
)
REPORT = PoolReport(
    native_id=GUID,
    guid=GUID,
    level="single",
    presence="active",
    health="active",
    expected_members=1,
    members=(MemberReport(device="sdz", drive=OTHER, state="spare"),),
)
INFO = BackendInfo(
    name="toy",
    version="1",
    levels=(Level(name="single", min_drives=1),),
    filesystems=("ext4",),
    tools=(Tool(name="toyadm", package="toy-tools"),),
    signature_types=("toy_member",),
)
STAMP = SignatureMatch(type="toy_member", uuid=GUID)


def plan(drive: DriveId = DRIVE, effect: str = "reversible") -> BackendPlan:
    step = Step.model_validate(
        {
            "id": "make",
            "title": "Making the toy",
            "run": Exec(argv=("toyadm", DriveRef(drive=drive))),
            "undo": (WipeMember(drive=drive, bears=()),),
            "effect": effect,
        }
    )
    return BackendPlan(steps=(step,), stamps=(STAMP,))


class Toy:
    """A whole backend; tests replace one hook each."""

    @hookimpl
    def backy_backend(self) -> BackendInfo:
        return INFO

    @hookimpl
    def backy_plan_create(self, pool: PoolSpec) -> BackendPlan:
        return plan()

    @hookimpl
    async def backy_inspect(self, probe: Probe) -> Sequence[PoolReport]:
        return [REPORT]

    @hookimpl
    def backy_plan_open(self, pool: PoolSpec, report: PoolReport) -> BackendPlan:
        return plan(OTHER)

    @hookimpl
    def backy_plan_close(self) -> BackendPlan:
        return BackendPlan(steps=())

    @hookimpl
    def backy_plan_teardown(self) -> BackendPlan:
        return BackendPlan(steps=())


def toy(**hooks: Callable[..., object] | None) -> object:
    """A toy backend with these hooks instead; None removes one."""
    members = {name: hook and hookimpl(hook) for name, hook in hooks.items()}
    return type("Custom", (Toy,), members)()


def hosting(*plugins: object, **options: Any) -> PluginHost:
    named = tuple(("toy", plugin) for plugin in plugins)
    return load_backends((), named, installed_listeners=(), **options)


def left_out(host: PluginHost) -> str:
    (failed,) = host.failed
    return failed.reason


def with_info(**changes: object) -> object:
    return toy(backy_backend=lambda self: INFO.model_copy(update=changes))
