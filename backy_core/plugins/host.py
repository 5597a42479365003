"""The typed plugin host: with the one of layers, the only place that calls hooks of loaded plugins.

Everything that leaves it was checked: the right type, within its deadline, and, for plans,
within the rules of :mod:`backy_core.plugins.plan_rules`. A plugin that raises, hangs or lies
becomes a :class:`BackendFailure` naming the plugin and the hook. Lives as long as the agent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple, cast

import pluggy

from backy_core.plugins import layering
from backy_core.plugins import registry as registry
from backy_core.plugins.answers import blaming, require
from backy_core.plugins.calls import OWN_THREADS, PluginCalls
from backy_core.plugins.layer_host import LayerHost, LoadedLayer
from backy_core.plugins.listeners import Listener
from backy_core.plugins.plan_rules import validate_plan
from backy_core.plugins.registry import FailedPlugin
from backy_core.plugins.report_rules import refuse_to_open, refuse_unusable
from backy_core.plugins.reports import cleaned, with_clean_names
from backy_core.plugins.stamp_rules import of_another_pool, refuse_shared, unproven
from backy_core.sdk.errors import BackendFailure, BackyError, PlanRefused
from backy_core.sdk.events import OperationRecord, PoolChange, TargetAnswer
from backy_core.sdk.models import (
    BackendInfo,
    DriveId,
    PoolReport,
    PoolSpec,
    Probe,
    Requirement,
    Tool,
    Unreadable,
)
from backy_core.sdk.plan import BackendPlan, PlanKind
from backy_core.sdk.scope import Scope
from backy_core.sdk.settings import PluginSettings

__all__ = ["FailedPlugin", "LoadedBackend", "PluginHost"]

TEST_DEADLINE_S = 60.0
"""For a test message to all targets of a listener."""

_log = logging.getLogger(__name__)


class LoadedBackend(NamedTuple):
    """A backend that passed every check at load."""

    info: BackendInfo
    origin: str
    manager: pluggy.PluginManager
    settings: PluginSettings
    installed: Callable[[str], bool]
    """Whether the machine has a program."""

    def missing_tools(self) -> tuple[Tool, ...]:
        """Declared programs that are not installed now. Starts no process."""
        return tuple(t for t in self.info.tools if not self.installed(t.name))

    def implements(self, hook: str) -> bool:
        return hook in registry.hooks_of(self.manager)

    def takes(self, hook: str, argument: str) -> bool:
        """Whether its implementation of a hook has this argument."""
        return argument in registry.arguments_of(self.manager, hook)


class PluginHost:
    """All plugins, each behind its own manager."""

    def __init__(
        self,
        backends: Mapping[str, LoadedBackend],
        listeners: Sequence[Listener],
        failed: Sequence[FailedPlugin],
        *,
        layers: Mapping[str, LoadedLayer] = MappingProxyType({}),
        plan_deadline_s: float = 5,
        inspect_deadline_s: float = 30,
        calls: PluginCalls = OWN_THREADS,
    ) -> None:
        self.layers = LayerHost(layers, plan_deadline_s, inspect_deadline_s, calls)
        self.backends: Mapping[str, LoadedBackend] = MappingProxyType(dict(backends))
        self.failed = tuple(failed)
        self.listeners = tuple(listeners)
        self._plan_deadline_s = plan_deadline_s
        self._inspect_deadline_s = inspect_deadline_s
        self._calls = calls
        self._looks = {name: calls.looks(f"{name}-backy_inspect") for name in self.backends}

    def backend(self, name: str) -> LoadedBackend:
        """BackendFailure with the reason if it is not loaded."""
        if name in self.backends:
            return self.backends[name]
        broken = next((failure.reason for failure in self.failed if failure.name == name), None)
        if broken is not None:
            raise BackendFailure(f"The plugin of backend {name} cannot be used: {broken}")
        raise BackendFailure(f"No plugin for backend {name} is installed")

    async def plan_create(
        self, backend: str, pool: PoolSpec, drives: tuple[DriveId, ...]
    ) -> BackendPlan:
        """The plan for a new pool and its layers. BackendFailure, PlanRefused."""
        call = {"pool": pool, "drives": drives}
        draft = await self._plan(backend, "create", call, drives)
        return await layering.created(self.layers, draft, pool)

    async def plan_open(
        self,
        backend: str,
        pool: PoolSpec,
        report: PoolReport,
        degraded: bool,
        force: bool = False,
    ) -> BackendPlan:
        """Plan bringing up the pool's device or filesystem. ``degraded``: the administrator asked
        for it. ``force``: open it read-only with stale members, if the report says that it needs
        that. Raises Conflict for what :mod:`backy_core.plugins.report_rules` refuses."""
        forced = force and report.needs_force is not None
        info = self.backend(backend).info
        refuse_to_open(info, pool, report.container, degraded=degraded, force=forced)
        call = {"pool": pool, "report": report, "degraded": degraded, "force": forced}
        draft = await self._plan(backend, "open", call, _drives(pool, report))
        return await layering.opened(self.layers, draft, pool, report)

    async def plan_close(self, backend: str, pool: PoolSpec, report: PoolReport) -> BackendPlan:
        """The plan that stops an unmounted pool."""
        call = {"pool": pool, "report": report}
        draft = await self._plan(backend, "close", call, _drives(pool, report))
        return await layering.closed(self.layers, draft, pool, report)

    async def plan_teardown(self, backend: str, pool: PoolSpec, report: PoolReport) -> BackendPlan:
        """The plan that releases the container for good: to close it, unless the backend has
        another."""
        own = self.backend(backend).implements(PLAN_HOOKS["teardown"])
        kind: PlanKind = "teardown" if own else "close"
        call = {"pool": pool, "report": report}
        draft = await self._plan(backend, kind, call, _drives(pool, report))
        return await layering.closed(self.layers, draft, pool, report, for_good=True)

    async def plan_add_drive(
        self,
        backend: str,
        pool: PoolSpec,
        report: PoolReport,
        drive: DriveId,
        replaces: DriveId | None,
    ) -> BackendPlan:
        """The plan that adds ``drive``; BackendFailure if the backend cannot."""
        if "add_drive" not in self.backend(backend).info.capabilities:
            raise BackendFailure(f"Backend {backend} cannot add drives to a pool")
        call = {"pool": pool, "report": report, "drive": drive, "replaces": replaces}
        drives = (*_drives(pool, report), drive, *((replaces,) if replaces else ()))
        return layering.lowered(await self._plan(backend, "add", call, drives), pool)

    async def inspect(
        self, backend: str, probe: Probe, only: Scope | None = None
    ) -> tuple[PoolReport | Unreadable, ...]:
        """The pools the backend sees now, and the devices it cannot read. BackendFailure if it
        raises, hangs or lies. ``only``: for backends with the capability ``scoped_inspect``."""
        hook = "backy_inspect"
        loaded = self.backend(backend)

        async def ask(relayed: Probe) -> Any:
            return await loaded.manager.hook.backy_inspect(
                probe=relayed, only=only, settings=loaded.settings
            )

        with blaming(_name(backend), hook):
            reports: Sequence[PoolReport | Unreadable] = await self._looks[backend].look(
                ask, probe, self._inspect_deadline_s
            )
        require(_name(backend), hook, reports, Sequence)
        for report in reports:
            if isinstance(report, Unreadable):
                continue
            require(_name(backend), hook, report, PoolReport)
            if report.presence == "absent":
                raise BackendFailure(
                    f"Backend {backend} answered {hook} with pool {report.native_id} as absent",
                    hint="Leave out of the answer what is not there.",
                )
            if report.layers:
                raise BackendFailure(f"Backend {backend} answered {hook} with layers")
        return tuple(map(cleaned, reports))

    async def poll(self, backend: str, probe: Probe) -> str | None:
        """Ask for what can change without a kernel event, as text to compare; None if the backend
        has to inspect its pools to tell. BackendFailure."""
        hook, loaded = "backy_poll", self.backend(backend)
        if not loaded.implements(hook):
            return None

        async def ask(relayed: Probe) -> Any:
            return await loaded.manager.hook.backy_poll(probe=relayed, settings=loaded.settings)

        with blaming(_name(backend), hook):
            text: str = await self._looks[backend].look(ask, probe, self._inspect_deadline_s)
        require(_name(backend), hook, text, str)
        return text

    async def explain(self, backend: str, output: str) -> tuple[Requirement, ...]:
        """The features this machine lacks, by the words of a program that could not open a pool.
        Nothing where the backend cannot tell: the program's failure stays what it is."""
        hook, loaded = "backy_explain", self.backend(backend)
        if not loaded.implements(hook):
            return ()
        try:
            with blaming(_name(backend), hook):
                requirements = await self._calls.within(
                    partial(
                        loaded.manager.hook.backy_explain,
                        output=output,
                        settings=loaded.settings,
                    ),
                    f"{backend}-{hook}",
                    self._plan_deadline_s,
                )
            require(_name(backend), hook, requirements, Sequence)
            for requirement in requirements:
                require(_name(backend), hook, requirement, Requirement)
        except BackyError as error:
            _log.warning("%s", error)
            return ()
        return tuple(map(with_clean_names, requirements))

    def notify_operation_finished(self, operation: OperationRecord) -> None:
        """Tell the listeners; returns at once."""
        self._notify("backy_operation_finished", operation=operation)

    def notify_pool_changed(self, change: PoolChange) -> None:
        """Tell the listeners; returns at once."""
        self._notify("backy_pool_changed", change=change)

    def notify_pools_found(self, pools: tuple[PoolChange, ...]) -> None:
        """Tell the listeners; returns at once."""
        self._notify("backy_pools_found", pools=pools)

    async def send_test_message(self) -> tuple[TargetAnswer, ...]:
        """Have every listener that sends messages send a test, and return the answers of its
        targets. BackendFailure if a listener fails."""
        hook = "backy_test_notification"
        answers: list[TargetAnswer] = []
        for listener in self.listeners:
            if hook not in registry.hooks_of(listener.manager):
                continue
            owner = f"Listener {listener.name}"
            with blaming(owner, hook):
                targets = await self._calls.within(
                    _hook_call(listener, hook), f"{listener.name}-{hook}", TEST_DEADLINE_S
                )
            require(owner, hook, targets, Sequence)
            for answer in targets:
                require(owner, hook, answer, TargetAnswer)
            answers += targets
        return tuple(answers)

    def _notify(self, hook: str, **record: object) -> None:
        for listener in self.listeners:
            listener.post(_hook_call(listener, hook, **record))

    async def _plan(
        self,
        backend: str,
        kind: PlanKind,
        call: Mapping[str, object],
        drives: Iterable[DriveId],
    ) -> BackendPlan:
        loaded = self.backend(backend)
        if isinstance(report := call.get("report"), PoolReport):
            refuse_unusable(report)
            call = {**call, "report": report.container}
        plan = await self._asked(backend, kind, call)
        try:
            validate_plan(loaded.info, kind, plan, drives)
            await self._prove_stamps(backend, kind, call, plan)
        except PlanRefused as error:
            hook = PLAN_HOOKS[kind]
            message = f"The plan of backend {backend} ({hook}) breaks a rule: {error.message}"
            raise PlanRefused(message, details=error.details, hint=error.hint) from None
        return plan

    async def _prove_stamps(
        self, backend: str, kind: PlanKind, call: Mapping[str, object], plan: BackendPlan
    ) -> None:
        """Stamps that do not show the pool's identity must be others for another pool."""
        pool, report = cast(PoolSpec, call["pool"]), cast(PoolReport | None, call.get("report"))
        if stamps := unproven(plan, pool, report):
            refuse_shared(stamps, await self._asked(backend, kind, of_another_pool(call)))

    async def _asked(self, backend: str, kind: PlanKind, call: Mapping[str, object]) -> BackendPlan:
        hook = PLAN_HOOKS[kind]
        loaded = self.backend(backend)
        caller = getattr(loaded.manager.hook, hook)
        with blaming(_name(backend), hook):
            plan: BackendPlan = await self._calls.within(
                partial(caller, **call, settings=loaded.settings),
                f"{backend}-{hook}",
                self._plan_deadline_s,
            )
        require(_name(backend), hook, plan, BackendPlan)
        return plan


PLAN_HOOKS: Mapping[PlanKind, str] = MappingProxyType(
    {
        "create": "backy_plan_create",
        "open": "backy_plan_open",
        "close": "backy_plan_close",
        "teardown": "backy_plan_teardown",
        "add": "backy_plan_add_drive",
    }
)


def _hook_call(listener: Listener, hook: str, **record: object) -> Callable[[], Any]:
    own = {"settings": listener.settings, "directory": listener.directory}
    return partial(getattr(listener.manager.hook, hook), **record, **own)


def _name(backend: str) -> str:
    return f"Backend {backend}"


def _drives(pool: PoolSpec, report: PoolReport) -> tuple[DriveId, ...]:
    return (*pool.drives, *report.drives)
