"""Load plugins, each by itself, with its settings."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

import pluggy

from backy_core.config.errors import ConfigurationError
from backy_core.config.plugin_tables import PluginTables
from backy_core.config.settings import Settings
from backy_core.plugins import registry as registry
from backy_core.plugins.backend_rules import check_backend, check_layer
from backy_core.plugins.calls import OWN_THREADS, PluginCalls
from backy_core.plugins.host import PLAN_HOOKS, LoadedBackend, PluginHost
from backy_core.plugins.layer_host import LoadedLayer
from backy_core.plugins.listeners import Listener
from backy_core.plugins.registry import Candidate, FailedPlugin
from backy_core.plugins.threads import call_within
from backy_core.sdk.errors import BackendFailure
from backy_core.sdk.settings import PluginSettings
from backy_core.system import exec

LOAD_DEADLINE_S = 30.0
"""For importing a plugin: generous, for a loaded machine must not lose its pools by it."""

_log = logging.getLogger(__name__)
T = TypeVar("T", LoadedBackend, LoadedLayer, Listener)


def load_backends(
    installed_backends: Iterable[EntryPoint] | None = None,
    builtin: Iterable[tuple[str, object]] = (),
    *,
    installed_layers: Iterable[EntryPoint] | None = None,
    layers: Iterable[tuple[str, object]] = (),
    installed_listeners: Iterable[EntryPoint] | None = None,
    listeners: Iterable[tuple[str, object]] = (),
    tables: PluginTables | None = None,
    plugins_dir: Path | None = None,
    plan_deadline_s: float = 5,
    inspect_deadline_s: float = 30,
    load_deadline_s: float = LOAD_DEADLINE_S,
    has_program: Callable[[str], bool] = exec.installed,
    calls: PluginCalls = OWN_THREADS,
) -> PluginHost:
    """Load every plugin that works; the others are in ``failed``. Never raises for a plugin.

    ``installed_backends`` and its like are entry points, those of this environment if None;
    ``builtin``, ``layers`` and ``listeners`` are names with plugin objects. Of two plugins with one
    name the first is loaded. ``plugins_dir``: for files of listeners. ``has_program`` tells which
    programs the machine has. Raises :class:`ConfigurationError` for ``tables`` that do not suit.
    """
    loader = _Loader(tables or PluginTables(), plugins_dir, load_deadline_s, has_program)
    all_of = partial(_candidates, cache(entry_points))  # a read of every installed package
    backends = loader.load(
        all_of(registry.BACKEND_GROUP, installed_backends, builtin), loader.backend
    )
    by_kind = loader.load(all_of(registry.LAYER_GROUP, installed_layers, layers), loader.layer)
    loaded_listeners = loader.load(
        all_of(registry.LISTENER_GROUP, installed_listeners, listeners), loader.listener
    )
    loader.finish()
    return PluginHost(
        backends,
        tuple(loaded_listeners.values()),
        loader.failed,
        layers=by_kind,
        plan_deadline_s=plan_deadline_s,
        inspect_deadline_s=inspect_deadline_s,
        calls=calls,
    )


def _candidates(
    points: Callable[[], Any],
    group: str,
    installed: Iterable[EntryPoint] | None,
    builtin: Iterable[tuple[str, object]],
) -> tuple[Candidate, ...]:
    plugins = points().select(group=group) if installed is None else installed
    return registry.candidates(plugins, builtin)


class _Loader:
    """One round of loading: names are unique among all plugins, for each has one table."""

    def __init__(
        self,
        tables: PluginTables,
        directory: Path | None,
        deadline_s: float,
        has_program: Callable[[str], bool],
    ) -> None:
        self._directory = directory or Settings().plugins_dir
        self._has_program = has_program
        self.failed: list[FailedPlugin] = []
        self._tables = tables
        self._deadline_s = deadline_s
        self._origins: dict[str, str] = {}
        self._models: dict[str, type[PluginSettings]] = {}

    def load(self, candidates: Iterable[Candidate], load: Callable[[Candidate], T]) -> dict[str, T]:
        """Load each candidate that can be loaded; return them by name."""
        loaded: dict[str, T] = {}
        for candidate in candidates:
            try:
                loaded[candidate.name] = self._within_deadline(candidate, load)
            except ConfigurationError:
                raise
            except Exception as error:
                self.failed.append(_left_out(candidate, error))
        return loaded

    def _within_deadline(self, candidate: Candidate, load: Callable[[Candidate], T]) -> T:
        if candidate.name in self._origins:
            first = self._origins[candidate.name]
            raise BackendFailure(f"{first} already provides a plugin of this name")
        thread = f"load-{candidate.name}"
        loaded = call_within(lambda: load(candidate), thread, self._deadline_s)
        self._origins[candidate.name] = candidate.origin
        self._models[candidate.name] = type(loaded.settings)
        return loaded

    def backend(self, candidate: Candidate) -> LoadedBackend:
        """Load and check a backend."""
        manager = registry.backend_manager(candidate)
        info = manager.hook.backy_backend()
        check_backend(candidate.name, info)
        settings = self._settings(candidate, manager)
        loaded = LoadedBackend(info, candidate.origin, manager, settings, self._has_program)
        if "add_drive" in info.capabilities and not loaded.implements(PLAN_HOOKS["add"]):
            raise BackendFailure(f"it advertises add_drive without {PLAN_HOOKS['add']}")
        if "scoped_inspect" in info.capabilities and not loaded.takes("backy_inspect", "only"):
            raise BackendFailure(
                "it advertises scoped_inspect, and backy_inspect has no argument `only`"
            )
        return loaded

    def layer(self, candidate: Candidate) -> LoadedLayer:
        """Load and check a layer."""
        manager = registry.layer_manager(candidate)
        info = manager.hook.backy_layer()
        check_layer(candidate.name, info)
        settings = self._settings(candidate, manager)
        return LoadedLayer(info, candidate.origin, manager, settings, self._has_program)

    def listener(self, candidate: Candidate) -> Listener:
        """Load and check a listener."""
        manager = registry.listener_manager(candidate)
        settings = self._settings(candidate, manager)
        return Listener(candidate.name, manager, settings, self._directory / candidate.name)

    def _settings(self, candidate: Candidate, manager: pluggy.PluginManager) -> PluginSettings:
        model: object = PluginSettings
        if "backy_settings" in registry.hooks_of(manager):
            model = manager.hook.backy_settings()
        if not (isinstance(model, type) and issubclass(model, PluginSettings)):
            raise BackendFailure("backy_settings answered no subclass of PluginSettings")
        return self._tables.settings_of(candidate.name, model)

    def finish(self) -> None:
        """Refuse tables of plugins that are not installed, and warn of variables that set nothing.

        A plugin that could not be loaded may have a table: nobody can tell whether it is right.
        """
        left_out = {plugin.name for plugin in self.failed}
        self._tables.refuse_unknown({*self._models, *left_out})
        for variable in self._tables.unused_variables(self._models):
            _log.warning("Environment variable %s sets nothing; is it mistyped?", variable)


def _left_out(candidate: Candidate, error: Exception) -> FailedPlugin:
    reason = registry.reason_of(error)
    _log.error("Plugin %s (%s) is left out: %s", candidate.name, candidate.origin, reason)
    return FailedPlugin(candidate.name, candidate.origin, reason)
