"""One plan for a pool and its layers: a new or opened stack goes up, a closed one down.

A backend plans for its container and knows of no layer; a layer plans for itself alone. What they
plan is put together here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from backy_core.plugins.layer_host import LayerHost
from backy_core.sdk.models import Model, PoolReport, PoolSpec
from backy_core.sdk.plan import BackendPlan, Blank, PoolDevice, PoolIs, Step, WipeSignatures

T = TypeVar("T")

BUSY_RETRY_S = 10.0
"""How long to repeat what fails while udev or a monitor has the device open."""


def clear_device(layer: int | None = None) -> Step:
    """Erase stale signatures that show through on a device of the pool."""
    on = PoolDevice(layer=layer)
    return Step(
        id="clear-device" if layer is None else f"clear-device-{layer}",
        title="Clearing stale content",
        run=WipeSignatures(on=on),
        expect=(Blank(on=on),),
        effect="destroys",
        retry_s=BUSY_RETRY_S,
    )


async def created(host: LayerHost, draft: BackendPlan, pool: PoolSpec) -> BackendPlan:
    """``draft``, then each layer from the bottom, on a device that was cleared first."""
    steps: list[Step] = []
    for number in _numbers(pool):
        steps += [clear_device(number - 1), *await host.plan("create", pool, number)]
    return _joined(lowered(draft, pool), after=steps)


async def opened(
    host: LayerHost, draft: BackendPlan, pool: PoolSpec, report: PoolReport
) -> BackendPlan:
    """``draft``, then each layer that is not active, from the bottom."""
    steps: list[Step] = []
    for number in _numbers(pool):
        if report.layers[number].presence != "active":
            steps += await host.plan("open", pool, number)
    return _joined(lowered(draft, pool), after=steps)


async def closed(
    host: LayerHost,
    draft: BackendPlan,
    pool: PoolSpec,
    report: PoolReport,
    *,
    for_good: bool = False,
) -> BackendPlan:
    """Each active layer from the top, then ``draft``. ``for_good``: once a layer is closed, the
    device that it lay on is cleared."""
    steps: list[Step] = []
    for number in reversed(_numbers(pool)):
        if report.layers[number].presence == "active":
            steps += await host.plan("close", pool, number)
        if for_good and report.layers[number - 1].presence == "active":
            steps.append(clear_device(number - 1))
    return _joined(lowered(draft, pool), before=steps)


def lowered(draft: BackendPlan, pool: PoolSpec) -> BackendPlan:
    """A backend's plan with its container named as such, where that is not the whole pool."""
    return _lowered(draft) if pool.layers else draft


def _lowered(value: T) -> T:
    if isinstance(value, tuple):
        return tuple(map(_lowered, value))  # type: ignore[return-value]
    if isinstance(value, PoolDevice):
        return value.model_copy(update={"layer": 0})
    if isinstance(value, PoolIs):
        return value.model_copy(update={"container": True})
    if isinstance(value, Model):
        fields = {name: _lowered(getattr(value, name)) for name in type(value).model_fields}
        return value.model_copy(update=fields)
    return value


def _numbers(pool: PoolSpec) -> range:
    return range(1, len(pool.layers) + 1)


def _joined(
    draft: BackendPlan, *, before: Iterable[Step] = (), after: Iterable[Step] = ()
) -> BackendPlan:
    return draft.model_copy(update={"steps": (*before, *draft.steps, *after)})
