"""The hooks of a backend, of a layer and of a listener.

A backend is a module or object of functions marked with :data:`hookimpl`. An entry point in the
group ``backy.backends`` registers it under the backend's name. Hooks are called with keywords. An
implementation may leave out arguments it does not need, so specs can gain arguments without
breaking old plugins.

``settings`` are the plugin's own, read once at the agent's start; see ``backy_settings``.

Plan hooks are pure and synchronous: the same arguments give the same plan, with no reading, no
clock and no randomness. Only ``backy_inspect`` reads the machine, and it never changes it.

A plan hook refuses by raising ``InvalidRequest`` for what can never succeed, or ``Conflict`` for
what the current state forbids.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from pathlib import Path

import pluggy

from backy_core.sdk.events import OperationRecord, PoolChange, TargetAnswer
from backy_core.sdk.layers import LayerInfo
from backy_core.sdk.models import (
    BackendInfo,
    DriveId,
    PoolReport,
    PoolSpec,
    Probe,
    Requirement,
    Unreadable,
)
from backy_core.sdk.plan import BackendPlan, LayerPlan
from backy_core.sdk.scope import Scope
from backy_core.sdk.settings import PluginSettings
from backy_core.sdk.stack import LayerReport

hookspec = pluggy.HookspecMarker("backy")
hookimpl = pluggy.HookimplMarker("backy")

REQUIRED_HOOKS = (
    "backy_backend",
    "backy_plan_create",
    "backy_inspect",
    "backy_plan_open",
    "backy_plan_close",
)
REQUIRED_LAYER_HOOKS = (
    "backy_layer",
    "backy_inspect_layers",
    "backy_plan_layer_create",
    "backy_plan_layer_open",
    "backy_plan_layer_close",
)


class PluginSpecs:
    """The hook that all plugins share."""

    @hookspec(firstresult=True)
    def backy_settings(self) -> type[PluginSettings]:  # type: ignore[empty-body]
        """Name the class of the plugin's settings. Fires once, at load.

        Returns a subclass of ``PluginSettings``. The agent makes one object of it, from the table
        ``[plugins.NAME]`` of ``backy.toml``, and hands that to the other hooks as ``settings``.
        Without this hook the plugin has no settings.
        """


class BackendSpecs(PluginSpecs):
    """The hooks of a backend. All but poll, teardown, add_drive and explain are required."""

    @hookspec(firstresult=True)
    def backy_backend(self) -> BackendInfo:  # type: ignore[empty-body]
        """Describe the backend. Fires once, when the agent loads the plugin.

        Returns its name, levels, filesystems, capabilities and tools. Must not read the machine.
        """

    @hookspec(firstresult=True)
    def backy_plan_create(  # type: ignore[empty-body]
        self, pool: PoolSpec, drives: tuple[DriveId, ...], settings: PluginSettings
    ) -> BackendPlan:
        """Plan a new pool. Fires before a creation and its dry run, after all guards passed.

        - ``pool``: GUID, label, level and filesystem, chosen beforehand. ``pool.portability`` says
          whether the oldest supported system must be able to open the pool.
        - ``drives``: the same drives as ``pool.drives``, blank and free when the plan runs.

        Returns a plan that ends with a block device, or with a mounted filesystem if the backend
        delivers one. ``BackendPlan.requires`` names what keeps older systems from opening the pool.
        """

    @hookspec(firstresult=True)
    def backy_inspect(  # type: ignore[empty-body]
        self, probe: Probe, only: Scope | None, settings: PluginSettings
    ) -> Awaitable[Sequence[PoolReport | Unreadable]]:
        """Report the backend's pools. Fires on kernel events and around every operation.

        - ``probe``: read-only access to drives, signatures, kernel files and declared commands.
        - ``only``: None, or, with the capability ``scoped_inspect``, the pools and devices to
          report. ``probe.signatures`` are then those of its devices alone.

        Returns a coroutine that gives one report per pool, stopped pools included, and an
        ``Unreadable`` for each device that cannot be read. Raises if pools may have been missed.
        """

    @hookspec(firstresult=True)
    def backy_poll(  # type: ignore[empty-body]
        self, probe: Probe, settings: PluginSettings
    ) -> Awaitable[str]:
        """Tell what may have changed without a kernel event. Fires every ``refresh_s`` seconds.

        - ``probe``: as in ``backy_inspect``. Must not read a drive, so that drives can sleep.

        Returns a coroutine that gives a text, such as a tool's output. The core asks the backend to
        inspect its pools if the text differs from the last one.
        """

    @hookspec(firstresult=True)
    def backy_plan_open(  # type: ignore[empty-body]
        self,
        pool: PoolSpec,
        report: PoolReport,
        degraded: bool,
        force: bool,
        settings: PluginSettings,
    ) -> BackendPlan:
        """Plan assembling, activating or importing. Fires on mount, and at start for pools that
        should be mounted.

        - ``pool``: the remembered pool; ``pool.mount_path`` is where it will be mounted.
        - ``report``: the pool as just inspected, with each connected member's drive filled in.
        - ``degraded``: the pool may start with members missing.
        - ``force``: true only if ``report.needs_force`` is set. The plan may then use stale
          members, and the pool comes up read-only.

        Returns a plan that names devices by identity and leaves out stale members (unless
        ``force``) and diverged ones.
        """

    @hookspec(firstresult=True)
    def backy_plan_close(  # type: ignore[empty-body]
        self, pool: PoolSpec, report: PoolReport, settings: PluginSettings
    ) -> BackendPlan:
        """Plan stopping, deactivating or exporting. Fires on unmount, after the core unmounted.

        - ``pool``: the remembered pool.
        - ``report``: the pool as just inspected; it is active or inactive.

        Returns a plan whose steps can be repeated: an interrupted close goes forward.
        """

    @hookspec(firstresult=True)
    def backy_plan_teardown(  # type: ignore[empty-body]
        self, pool: PoolSpec, report: PoolReport, settings: PluginSettings
    ) -> BackendPlan:
        """Plan releasing the container. Fires on delete, and when a failed creation is rolled
        back. The core wipes the content before these steps and the members after them.

        - ``pool``: the pool that is deleted.
        - ``report``: the pool as just inspected.

        Returns a plan that wipes nothing and whose steps can be repeated. Without this hook the
        plan to close releases the container.
        """

    @hookspec(firstresult=True)
    def backy_plan_add_drive(  # type: ignore[empty-body]
        self,
        pool: PoolSpec,
        report: PoolReport,
        drive: DriveId,
        replaces: DriveId | None,
        settings: PluginSettings,
    ) -> BackendPlan:
        """Plan re-adding a returned member or adding a blank drive. Fires on ``drives/add``, only
        with the capability ``add_drive``.

        - ``pool``: the remembered pool.
        - ``report``: the pool as just inspected.
        - ``drive``: a blank drive, a returned member, or a spare that an earlier add left.
        - ``replaces``: the member to replace; None to fill the place of a missing one.

        Returns a plan with a goal and one step of the effect ``pivot``, which hands the drive
        over. An interrupted operation goes back before that step and forward after it.
        """

    @hookspec(firstresult=True)
    def backy_explain(  # type: ignore[empty-body]
        self, output: str, settings: PluginSettings
    ) -> Sequence[Requirement]:
        """Name the features that this machine lacks. Fires when a program of an open failed.

        - ``output``: everything that program printed.

        Returns the missing features, or an empty sequence if the output names none. Pure. Without
        this hook ``PoolReport.requires`` alone explains the failure.
        """


class LayerSpecs(PluginSpecs):
    """The hooks of a layer, a plugin in the group ``backy.layers``. All are required.

    A plan hook plans for one layer, the ``number``-th over the pool's device. It names the device
    below as ``PoolDevice(layer=number - 1)``, its own as ``PoolDevice(layer=number)``, its state as
    ``LayerIs(layer=number, …)``, and nothing else of the pool. The core wipes each device before
    a layer is made on it, and after the layer on it was closed for good.
    """

    @hookspec(firstresult=True)
    def backy_layer(self) -> LayerInfo:  # type: ignore[empty-body]
        """Describe the layer. Fires once, when the agent loads the plugin.

        Returns its name and tools. Must not read the machine.
        """

    @hookspec(firstresult=True)
    def backy_inspect_layers(  # type: ignore[empty-body]
        self, probe: Probe, settings: PluginSettings
    ) -> Awaitable[Sequence[LayerReport]]:
        """Report the layers of this kind. Fires on kernel events and around every operation.

        - ``probe``: read-only access to drives, signatures, kernel files and declared commands.

        Returns a coroutine that gives one report per layer that is seen. Raises if layers may have
        been missed.
        """

    @hookspec(firstresult=True)
    def backy_plan_layer_create(  # type: ignore[empty-body]
        self, pool: PoolSpec, number: int, settings: PluginSettings
    ) -> LayerPlan:
        """Plan a new layer. Fires before a creation and its dry run.

        - ``pool``: the new pool; ``pool.layers[number - 1]`` is the layer.
        - ``number``: the layer's place, from 1.

        Returns a plan that ends with the layer active. Each of its steps has an undo or no effect.
        """

    @hookspec(firstresult=True)
    def backy_plan_layer_open(  # type: ignore[empty-body]
        self, pool: PoolSpec, number: int, settings: PluginSettings
    ) -> LayerPlan:
        """Plan opening a closed layer. Fires on mount, and at start for pools that should be
        mounted.

        - ``pool``: the remembered pool; ``pool.layers[number - 1]`` is the layer.
        - ``number``: the layer's place, from 1.

        Returns a plan that ends with the layer active. An interrupted open is rolled back.
        """

    @hookspec(firstresult=True)
    def backy_plan_layer_close(  # type: ignore[empty-body]
        self, pool: PoolSpec, number: int, settings: PluginSettings
    ) -> LayerPlan:
        """Plan closing an active layer. Fires on unmount and delete, after everything over it was
        closed, and when a failed creation is rolled back.

        - ``pool``: the pool that is closed; ``pool.layers[number - 1]`` is the layer.
        - ``number``: the layer's place, from 1.

        Returns a plan whose steps can be repeated: an interrupted close goes forward.
        """


class ListenerSpecs(PluginSpecs):
    """The hooks of a listener: any number of plugins in the group ``backy.listeners``.

    Hooks fire after the fact. Each listener has its own thread and queue: its calls come one at a
    time, in the order of the events, and may block. A slow listener delays nobody but itself; up to
    1000 calls wait for it, later ones are dropped and counted in the log. An exception is logged,
    and the next call follows as usual. The agent does not wait for listeners when it stops.

    ``directory`` is where the listener may keep files across restarts. It is the listener's own,
    below the agent's state directory, and not made yet.
    """

    @hookspec
    def backy_pools_found(
        self, pools: tuple[PoolChange, ...], settings: PluginSettings, directory: Path
    ) -> None:
        """Take note of the pools at the agent's start. Fires once before any other hook, with no
        pools if there are none, and again for each pool that should be mounted, once the agent has
        tried to open it. It may fire again when a drive came later.

        - ``pools``: the pools that are seen and those that are remembered, as changes without a
          former report. A remembered pool that is not seen has no new report either.

        The result is ignored.
        """

    @hookspec
    def backy_operation_finished(
        self, operation: OperationRecord, settings: PluginSettings, directory: Path
    ) -> None:
        """Take note of an operation's end. Fires once for each accepted operation, after
        ``backy_pool_changed`` for the change that it made to its pool. An operation that a power
        cut or the agent's end interrupted is reported once the next start has recovered it.

        - ``operation``: a frozen record of the operation.

        The result is ignored.
        """

    @hookspec
    def backy_pool_changed(
        self, change: PoolChange, settings: PluginSettings, directory: Path
    ) -> None:
        """Take note of a changed pool. Fires for each pool that differs between two successive
        inspections, in the order of backend and native id; several changes in a short time arrive
        as one. Pools that are present at the agent's start are told by ``backy_pools_found``, and
        no change is while the backend's inspection fails.

        - ``change``: the former and the new report, frozen.

        The result is ignored.
        """

    @hookspec(firstresult=True)
    def backy_test_notification(  # type: ignore[empty-body]
        self, settings: PluginSettings, directory: Path
    ) -> Sequence[TargetAnswer]:
        """Send a test message to every target, now. Fires on request, in a thread of its own and
        beside other calls.

        Returns the answer of each target within a minute; empty if no target is set.
        """
