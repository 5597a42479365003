"""Finding plugins and letting each in, or not, by itself.

Every entry point is imported and registered with a manager of its own, so one that is broken
takes nothing with it. pluggy's own loader stops at the first that fails, accepts a backend that
lacks hooks, and never awaits asynchronous ones; all three are refused here with a reason.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from functools import partial
from importlib.metadata import EntryPoint
from typing import NamedTuple

import pluggy

from backy_core.sdk.errors import BackendFailure
from backy_core.sdk.hookspecs import (
    REQUIRED_HOOKS,
    REQUIRED_LAYER_HOOKS,
    BackendSpecs,
    LayerSpecs,
    ListenerSpecs,
)

BACKEND_GROUP = "backy.backends"
LAYER_GROUP = "backy.layers"
LISTENER_GROUP = "backy.listeners"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_ASYNC_HOOKS = frozenset({"backy_inspect", "backy_inspect_layers", "backy_poll"})


class FailedPlugin(NamedTuple):
    """A plugin that was left out; ``reason`` is one sentence."""

    name: str
    origin: str
    reason: str


class Candidate(NamedTuple):
    """A plugin not loaded yet; ``load`` imports it and may raise or hang."""

    name: str
    origin: str
    load: Callable[[], object]


def candidates(
    installed: Iterable[EntryPoint], builtin: Iterable[tuple[str, object]]
) -> tuple[Candidate, ...]:
    """Built-in objects first, then entry points by name and distribution."""
    named = [Candidate(point.name, _origin(point), point.load) for point in installed]
    named.sort(key=lambda candidate: (candidate.name, candidate.origin))
    built_in = [Candidate(name, "builtin", partial(_itself, plugin)) for name, plugin in builtin]
    return (*built_in, *named)


def backend_manager(candidate: Candidate) -> pluggy.PluginManager:
    """A manager with this one backend; BackendFailure says why it cannot be used."""
    return _complete(_manager(candidate, BackendSpecs), REQUIRED_HOOKS)


def layer_manager(candidate: Candidate) -> pluggy.PluginManager:
    """A manager with this one layer; BackendFailure says why it cannot be used."""
    return _complete(_manager(candidate, LayerSpecs), REQUIRED_LAYER_HOOKS)


def listener_manager(candidate: Candidate) -> pluggy.PluginManager:
    """A manager with this one listener; BackendFailure says why it cannot be used."""
    manager = _manager(candidate, ListenerSpecs)
    if not hooks_of(manager) - {"backy_settings"}:
        raise BackendFailure("it implements no hook")
    return manager


def hooks_of(manager: pluggy.PluginManager) -> frozenset[str]:
    """Names of the hooks its plugin implements."""
    return frozenset(name for name, _ in _implemented(manager))


def arguments_of(manager: pluggy.PluginManager, hook: str) -> frozenset[str]:
    """The arguments that its plugin's implementation of ``hook`` is called with: pluggy leaves out
    those with a default."""
    return frozenset(
        argument
        for name, implementation in _implemented(manager)
        if name == hook
        for argument in implementation.argnames
    )


def reason_of(error: BaseException) -> str:
    """The reason for ``failedPlugins``: our own errors as a sentence, others with their type."""
    if isinstance(error, BackendFailure):
        return error.message
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _complete(manager: pluggy.PluginManager, required: tuple[str, ...]) -> pluggy.PluginManager:
    missing = [hook for hook in required if hook not in hooks_of(manager)]
    if missing:
        raise BackendFailure(f"it does not implement {', '.join(missing)}")
    return manager


def _manager(candidate: Candidate, specs: type) -> pluggy.PluginManager:
    if not _NAME.fullmatch(candidate.name):
        raise BackendFailure("its name is not made of lower-case letters, digits and dashes")
    manager = pluggy.PluginManager("backy")
    manager.add_hookspecs(specs)
    manager.register(candidate.load(), name=candidate.name)
    manager.check_pending()
    for hook, implementation in _implemented(manager):
        function = implementation.function
        if hook not in _ASYNC_HOOKS and inspect.iscoroutinefunction(function):
            raise BackendFailure(f"{hook} must not be async: make it a plain function")
        if hook in _ASYNC_HOOKS and not inspect.iscoroutinefunction(function):
            raise BackendFailure(f"{hook} must be async: define it with `async def`")
    return manager


def _implemented(manager: pluggy.PluginManager) -> tuple[tuple[str, pluggy.HookImpl], ...]:
    """The hooks its one plugin implements, by name."""
    (plugin,) = manager.get_plugins()
    callers = manager.get_hookcallers(plugin) or ()
    return tuple(
        (caller.name, implementation)
        for caller in callers
        for implementation in caller.get_hookimpls()
    )


def _itself(plugin: object) -> object:
    return plugin


def _origin(point: EntryPoint) -> str:
    dist = point.dist
    return f"{dist.name} {dist.version}" if dist else point.value
