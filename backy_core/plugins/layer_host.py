"""Calls the hooks of layer plugins, and checks what they answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import pluggy

from backy_core.plugins.answers import blaming, require
from backy_core.plugins.calls import OWN_THREADS, PluginCalls
from backy_core.plugins.plan_rules import validate_layer_plan
from backy_core.sdk.errors import BackendFailure, PlanRefused
from backy_core.sdk.layers import LayerInfo
from backy_core.sdk.models import PoolSpec, Probe, Tool
from backy_core.sdk.plan import LayerPlan, Step
from backy_core.sdk.settings import PluginSettings
from backy_core.sdk.stack import Layer, LayerReport

LayerVerb = Literal["create", "open", "close"]


class LoadedLayer(NamedTuple):
    """A layer plugin that passed every check at load."""

    info: LayerInfo
    origin: str
    manager: pluggy.PluginManager
    settings: PluginSettings
    installed: Callable[[str], bool]


class LayerHost:
    """All layer plugins, by kind."""

    def __init__(
        self,
        loaded: Mapping[str, LoadedLayer],
        plan_deadline_s: float,
        inspect_deadline_s: float,
        calls: PluginCalls = OWN_THREADS,
    ) -> None:
        self.loaded: Mapping[str, LoadedLayer] = MappingProxyType(dict(loaded))
        self._plan_deadline_s = plan_deadline_s
        self._inspect_deadline_s = inspect_deadline_s
        self._calls = calls
        self._looks = {kind: calls.looks(f"{kind}-backy_inspect_layers") for kind in self.loaded}

    def layer(self, kind: str) -> LoadedLayer:
        """Raises :class:`BackendFailure` if it is not loaded."""
        if kind not in self.loaded:
            raise BackendFailure(_missing(kind))
        return self.loaded[kind]

    def missing_of(self, layers: Iterable[Layer]) -> str | None:
        """A sentence for the first layer without a plugin; None if there is none."""
        kinds = (layer.kind for layer in layers if layer.kind not in self.loaded)
        return next(map(_missing, kinds), None)

    def missing_tools(self, layers: Iterable[Layer]) -> tuple[Tool, ...]:
        """Programs that these layers need and the machine lacks."""
        plugins = [self.layer(layer.kind) for layer in layers]
        return tuple(
            tool
            for plugin in plugins
            for tool in plugin.info.tools
            if not plugin.installed(tool.name)
        )

    async def plan(self, verb: LayerVerb, pool: PoolSpec, number: int) -> tuple[Step, ...]:
        """The steps for the pool's ``number``-th layer, with ids of their own in the whole plan.

        Raises :class:`BackendFailure` or :class:`PlanRefused`.
        """
        kind, hook = pool.layers[number - 1].kind, f"backy_plan_layer_{verb}"
        loaded = self.layer(kind)
        caller = getattr(loaded.manager.hook, hook)
        with blaming(f"Layer {kind}", hook):
            plan: LayerPlan = await self._calls.within(
                partial(caller, pool=pool, number=number, settings=loaded.settings),
                f"{kind}-{hook}",
                self._plan_deadline_s,
            )
        require(f"Layer {kind}", hook, plan, LayerPlan)
        try:
            validate_layer_plan(loaded.info, verb, plan.steps, number)
        except PlanRefused as error:
            message = f"The plan of layer {kind} ({hook}) breaks a rule: {error.message}"
            raise PlanRefused(message, details=error.details, hint=error.hint) from None
        return tuple(
            step.model_copy(update={"id": f"layer-{number}-{step.id}"}) for step in plan.steps
        )

    async def inspect(self, kind: str, probe: Probe) -> tuple[LayerReport, ...]:
        """The layers of this kind that are seen now. Raises :class:`BackendFailure`."""
        hook, loaded = "backy_inspect_layers", self.layer(kind)

        async def ask(relayed: Probe) -> Any:
            return await loaded.manager.hook.backy_inspect_layers(
                probe=relayed, settings=loaded.settings
            )

        with blaming(f"Layer {kind}", hook):
            reports: Sequence[LayerReport] = await self._looks[kind].look(
                ask, probe, self._inspect_deadline_s
            )
        require(f"Layer {kind}", hook, reports, Sequence)
        for report in reports:
            require(f"Layer {kind}", hook, report, LayerReport)
        return tuple(reports)


def _missing(kind: str) -> str:
    return f"No plugin for layer {kind} is installed"
