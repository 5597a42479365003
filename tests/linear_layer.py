"""The smallest layer: dm-linear over a pool's device, from ``offset`` on, ``sectors`` long.

Nothing on disk tells of it, so it is for tests alone: its name and dm UUID carry the identity while
it is open.
"""

from __future__ import annotations

from collections.abc import Sequence

from backy_core.pools.views import LayerRequest
from backy_core.sdk import hookimpl
from backy_core.sdk.layers import LayerInfo
from backy_core.sdk.models import PoolSpec, Probe, Tool
from backy_core.sdk.plan import Exec, Join, LayerIs, LayerPlan, PoolDevice, Step
from backy_core.sdk.stack import LayerReport

KIND = "linear"
_UUID = "BACKY-LINEAR-"
_OFFSET, _SECTORS = 2048, 98304


def request(number: int = 0) -> LayerRequest:
    """A layer that has room in a small pool over ``number`` others."""
    sectors = _SECTORS - number * _OFFSET
    return LayerRequest(KIND, {"offset": _OFFSET, "sectors": sectors})


@hookimpl
def backy_layer() -> LayerInfo:
    return LayerInfo(name=KIND, version="1", tools=(Tool(name="dmsetup", package="dmsetup"),))


@hookimpl
async def backy_inspect_layers(probe: Probe) -> Sequence[LayerReport]:
    names = [name for name in await probe.listdir("/sys/block") if name.startswith("dm-")]
    uuids = await probe.read(*(f"/sys/block/{name}/dm/uuid" for name in names))
    return [
        LayerReport(
            identity=uuid.strip().removeprefix(_UUID).lower(), presence="active", device=name
        )
        for name, uuid in zip(names, uuids, strict=True)
        if uuid and uuid.startswith(_UUID)
    ]


@hookimpl
def backy_plan_layer_create(pool: PoolSpec, number: int) -> LayerPlan:
    return LayerPlan(steps=(_map(pool, number),))


@hookimpl
def backy_plan_layer_open(pool: PoolSpec, number: int) -> LayerPlan:
    return LayerPlan(steps=(_map(pool, number),))


@hookimpl
def backy_plan_layer_close(pool: PoolSpec, number: int) -> LayerPlan:
    step = Step(
        id="unmap",
        title="Closing the layer",
        run=_unmap(pool, number),
        expect=(LayerIs(layer=number, presence="stopped"),),
        if_satisfied="skip",
        effect="none",
        retry_s=30,
    )
    return LayerPlan(steps=(step,))


def _map(pool: PoolSpec, number: int) -> Step:
    layer = pool.layers[number - 1]
    below = PoolDevice(layer=number - 1)
    start, length = str(layer.options["offset"]), str(layer.options["sectors"])
    table = Join(sep=" ", parts=("0", length, "linear", below, start))
    name, uuid = f"backy-{layer.identity}", _UUID + layer.identity
    return Step(
        id="map",
        title="Opening the layer",
        run=Exec(argv=("dmsetup", "create", name, "--uuid", uuid, "--table", table)),
        undo=(_unmap(pool, number),),
        undo_expect=(LayerIs(layer=number, presence="stopped"),),
        expect=(LayerIs(layer=number, presence="active"),),
        if_satisfied="skip",
    )


def _unmap(pool: PoolSpec, number: int) -> Exec:
    """It fails where nothing is mapped, as after a crash; the outcome tells whether it is gone."""
    name = f"backy-{pool.layers[number - 1].identity}"
    return Exec(argv=("dmsetup", "remove", "--retry", name), ok_codes=(0, 1))
