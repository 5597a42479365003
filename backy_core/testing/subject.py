"""The backend that is tested, and what its author says of it."""

from __future__ import annotations

from typing import Any

import pytest

from backy_core.plugins.host import PluginHost
from backy_core.plugins.loading import load_backends
from backy_core.pools.views import LayerRequest
from backy_core.sdk.models import BackendInfo, Level

_EXCUSES = frozenset(("skip", "skipif", "xfail"))


class Subject:
    """Attributes that a subclass of a contract sets. Only ``backend`` has no default."""

    backend: object
    """The module or object with the hooks."""
    redundant: tuple[str, int] | None = None
    """A level and a number of drives of which one may be lost. Needed for the capabilities
    ``degraded_open`` and ``add_drive``."""
    filesystem: str | None = None
    """The filesystem to make; the backend's first if None."""
    layers: tuple[tuple[str, object], ...] = ()
    """Layer plugins by name."""
    stack: tuple[LayerRequest, ...] = ()
    """The layers of every pool that is made."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse a subclass that removes a check of its contract."""
        super().__init_subclass__(**options)
        inherited = {name for base in cls.__mro__[1:] for name in vars(base)}
        changed = sorted(n for n in vars(cls) if n.startswith("test_") and n in inherited)
        if changed:
            raise TypeError(f"{cls.__name__} replaces checks of the contract: {changed}")

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Let every check run. The kit itself reports the lack of a spare kernel."""
        excuses = {mark.name for mark in metafunc.definition.iter_markers()} & _EXCUSES
        if excuses and metafunc.definition.originalname not in vars(type(self)):
            raise pytest.UsageError(
                f"{metafunc.definition.name} is part of the contract: {excuses}"
            )
        if "level" in metafunc.fixturenames:
            try:
                levels = self.info().levels
            except AssertionError as error:
                raise pytest.Collector.CollectError(str(error)) from None
            metafunc.parametrize("level", levels, ids=[level.name for level in levels])

    _hosting: PluginHost

    @classmethod
    def host(cls, *, others: bool = False) -> PluginHost:
        """A new plugin host with this backend, and with every installed one if ``others``."""
        installed = None if others else ()
        return load_backends(
            installed,
            ((cls._name(), cls.backend),),
            installed_layers=(),
            layers=cls.layers,
            installed_listeners=(),
        )

    @classmethod
    def _name(cls) -> str:
        """The backend's own name; fails with what to do if there is nothing to ask."""
        backend, setting = getattr(cls, "backend", None), f"{cls.__name__}.backend"
        assert backend is not None, (
            f"{setting} is not set: name the module or object with the hooks"
        )
        assert not isinstance(backend, type), f"{setting} is a class: name an object of it"
        hook = getattr(backend, "backy_backend", None)
        assert callable(hook), (
            f"{setting} is {backend!r}, which has no backy_backend: name the module or object with "
            "the hooks, each of them marked @hookimpl"
        )
        info = hook()
        assert isinstance(info, BackendInfo), (
            f"{setting}: backy_backend answered {type(info).__name__}: let it answer BackendInfo"
        )
        return info.name

    @classmethod
    def info(cls) -> BackendInfo:
        """The backend's description; fails with the reason if it cannot be loaded."""
        host = cls.hosting()
        assert not host.failed, (
            f"backend {host.failed[0].name} cannot be loaded: {host.failed[0].reason}"
        )
        (loaded,) = host.backends.values()
        return loaded.info

    @classmethod
    def hosting(cls) -> PluginHost:
        """A host with this backend that lasts, for what is asked of it over and over."""
        if "_hosting" not in vars(cls):
            cls._hosting = cls.host()
        return cls._hosting

    @classmethod
    def level(cls, name: str) -> Level:
        return next(level for level in cls.info().levels if level.name == name)

    @classmethod
    def redundancy(cls) -> tuple[str, int]:
        """:attr:`redundant`, or a failure that says what it must be."""
        setting, info = f"{cls.__name__}.redundant", cls.info()
        needed = sorted(info.capabilities & {"add_drive", "degraded_open"})
        assert cls.redundant is not None, (
            f"{setting} is not set, and backy_backend of {info.name} advertises {needed}: name a "
            "level and a number of drives of which one may be lost, as ('raid1', 2)"
        )
        name, count = cls.redundant
        names = [level.name for level in info.levels]
        assert name in names, f"{setting} names the level {name!r}: choose one of {names}"
        level = cls.level(name)
        assert level.redundant, (
            f"{setting} names the level {name!r}, which backy_backend of {info.name} describes "
            "without parity and with one copy: the core adds no drive to such a pool"
        )
        least, most = max(2, level.min_drives), level.max_drives
        assert least <= count <= (most or count), (
            f"{setting} names {count} drives: {name} with one to lose takes at least {least}"
            + (f" and at most {most}" if most else "")
        )
        return name, count
