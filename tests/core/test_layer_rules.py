"""The rules for plans and descriptions of layers, and for backends over which layers lie."""

from __future__ import annotations

import types
from collections.abc import Callable

import pytest
from backy_mdadm import hooks

from backy_core.plugins.host import PluginHost
from backy_core.plugins.loading import load_backends
from backy_core.sdk import hookimpl
from backy_core.sdk.errors import BackendFailure, PlanRefused
from backy_core.sdk.models import DriveId, PoolReport, PoolSpec
from backy_core.sdk.naming import layer_identity
from backy_core.sdk.plan import (
    BackendPlan,
    Blank,
    Condition,
    DriveRef,
    Exec,
    LayerIs,
    LayerPlan,
    PoolDevice,
    PoolIs,
    Step,
    WipeMember,
)
from backy_core.sdk.stack import Layer
from tests import linear_layer

GUID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
DRIVES = tuple(DriveId(serial=serial, size=1 << 30) for serial in ("A", "B"))
IDENTITY = layer_identity(GUID, 1, "linear")
OPTIONS = linear_layer.request().options
POOL = PoolSpec(
    guid=GUID,
    label="shelf",
    level="raid1",
    filesystem="ext4",
    fs_uuid=None,
    mount_path=None,
    drives=DRIVES,
    layers=(Layer(kind="linear", identity=IDENTITY, options=OPTIONS),),
)


def changed(module: object, **functions: Callable[..., object] | None) -> object:
    """The plugin with some of its hooks exchanged; None removes one."""
    plugin = types.ModuleType("changed")
    members = {name: hook and hookimpl(hook) for name, hook in functions.items()}
    kept = {name: value for name, value in {**vars(module), **members}.items() if value}
    vars(plugin).update(kept)
    return plugin


def hosting(layer: object = linear_layer, backend: object = hooks) -> PluginHost:
    return load_backends(
        (),
        (("mdadm", backend),),
        installed_layers=(),
        layers=(("linear", layer),),
        installed_listeners=(),
        has_program=lambda program: True,
    )


async def creating(step: Step) -> BackendPlan:
    host = hosting(changed(linear_layer, backy_plan_layer_create=lambda: LayerPlan(steps=(step,))))
    return await host.plan_create("mdadm", POOL, DRIVES)


def step(*argv: object, **fields: object) -> Step:
    run = Exec.model_validate({"argv": ("dmsetup", *argv)})
    return Step.model_validate(
        {"id": "map", "title": "Mapping", "run": run, "effect": "none", **fields}
    )


async def test_a_plan_is_joined_from_the_container_up() -> None:
    plan = await hosting().plan_create("mdadm", POOL, DRIVES)
    assert [step.id for step in plan.steps] == ["create-array", "clear-device-0", "layer-1-map"]
    container = plan.steps[0]
    assert container.expect == (PoolIs(presence="active", container=True),)
    (stop, *_) = container.undo
    assert isinstance(stop, Exec) and stop.argv[-1] == PoolDevice(layer=0)


async def test_a_pool_without_layers_is_planned_as_before() -> None:
    pool = POOL.model_copy(update={"layers": ()})
    plan = await hosting().plan_create("mdadm", pool, DRIVES)
    assert plan == hooks.backy_plan_create(pool=pool, drives=DRIVES)


@pytest.mark.parametrize(
    "strange",
    [
        step(DriveRef(drive=DRIVES[0])),
        step(PoolDevice()),
        step(PoolDevice(layer=2)),
        step("/dev/md0"),
        step(effect="reversible"),
        step(run=Exec(argv=("mdadm", "--stop"))),
        step(run=WipeMember(drive=DRIVES[0], bears=())),
    ],
    ids=["drive", "pool", "another layer", "kernel name", "no undo", "program", "wipe"],
)
async def test_a_layers_plan_that_reaches_further_is_refused(strange: Step) -> None:
    with pytest.raises(PlanRefused, match="layer linear"):
        await creating(strange)


@pytest.mark.parametrize(
    "condition",
    [PoolIs(presence="active"), LayerIs(layer=2, presence="active"), Blank(on=PoolDevice())],
)
async def test_a_layers_condition_that_reaches_further_is_refused(condition: Condition) -> None:
    with pytest.raises(PlanRefused, match="names more than its layer"):
        await creating(step(expect=(condition,)))


@pytest.mark.parametrize(
    "condition",
    [PoolIs(presence="active", container=True), LayerIs(layer=1, presence="active")],
)
async def test_a_backend_that_names_a_layer_is_refused(condition: Condition) -> None:
    def create(pool: PoolSpec, drives: tuple[DriveId, ...]) -> BackendPlan:
        plan = hooks.backy_plan_create(pool=pool, drives=drives)
        return plan.model_copy(update={"goal": (condition,)})

    host = hosting(backend=changed(hooks, backy_plan_create=create))
    with pytest.raises(PlanRefused, match="the core's to add"):
        await host.plan_create("mdadm", POOL, DRIVES)


async def test_a_backend_is_handed_its_own_report() -> None:
    reports: list[PoolReport] = []

    def close(report: PoolReport) -> BackendPlan:
        reports.append(report)
        return BackendPlan(steps=())

    own = PoolReport(
        native_id=GUID,
        guid=GUID,
        level="raid1",
        presence="active",
        health="active",
        device="md1",
        expected_members=0,
        members=(),
    )
    levels = [
        {"identity": GUID, "presence": "active", "device": "md1"},
        {"identity": IDENTITY, "presence": "absent"},
    ]
    whole = PoolReport.model_validate(
        {**own.model_dump(), "presence": "inactive", "device": None, "layers": levels}
    )
    host = hosting(backend=changed(hooks, backy_plan_close=close))
    plan = await host.plan_close("mdadm", POOL, whole)
    assert (reports, plan.steps) == ([own], ())


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (changed(linear_layer, backy_plan_layer_close=None), "does not implement"),
        (changed(linear_layer, backy_layer=lambda: "linear"), "answered str, not LayerInfo"),
        (object(), "does not implement"),
    ],
)
def test_a_broken_layer_is_left_out_with_its_reason(layer: object, reason: str) -> None:
    host = hosting(layer)
    (failed,) = host.failed
    assert (failed.name, dict(host.layers.loaded)) == ("linear", {})
    assert reason in failed.reason
    with pytest.raises(BackendFailure, match="No plugin for layer linear"):
        host.layers.layer("linear")


def test_what_was_written_before_there_were_layers_reads_as_before() -> None:
    written = POOL.model_copy(update={"layers": ()}).model_dump(mode="json", exclude={"layers"})
    assert PoolSpec.model_validate(written).layers == ()
    assert PoolDevice.model_validate({"ref": "pool-device"}) == PoolDevice()
