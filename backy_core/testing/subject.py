"""The backend that is tested, and what its author says of it."""

from __future__ import annotations

from backy_core.plugins import PluginHost, load_backends
from backy_core.sdk.models import BackendInfo, Level


class Subject:
    """What a subclass of a contract sets. Only ``backend`` has no default."""

    backend: object
    """The module or object with the hooks."""
    redundant: tuple[str, int] | None = None
    """A level and a number of drives of which one may be lost. Needed for the capabilities
    ``degraded_open`` and ``add_drive``."""
    filesystem: str | None = None
    """The filesystem to make; the backend's first if None."""

    @classmethod
    def host(cls, *, others: bool = False) -> PluginHost:
        """A plugin host with this backend, and with every installed one if ``others``."""
        name = cls.backend.backy_backend().name  # type: ignore[attr-defined]
        found = None if others else ()
        return load_backends(found=found, found_listeners=(), builtin=((name, cls.backend),))

    @classmethod
    def info(cls) -> BackendInfo:
        """What the backend says of itself; fails with the reason if it cannot be loaded."""
        host = cls.host()
        assert not host.failed, f"the backend cannot be loaded: {host.failed[0].reason}"
        (loaded,) = host.backends.values()
        return loaded.info

    @classmethod
    def level(cls, name: str) -> Level:
        return next(level for level in cls.info().levels if level.name == name)

    @classmethod
    def redundancy(cls) -> tuple[str, int]:
        """:attr:`redundant`, or a failure that says it must be set."""
        assert cls.redundant is not None, (
            "the backend advertises what needs a redundant level: set `redundant` to one and its "
            "number of drives"
        )
        return cls.redundant
