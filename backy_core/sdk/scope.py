"""The part of a backend's pools that a scoped inspection is about."""

from __future__ import annotations

from backy_core.sdk.stack import Model


class Scope(Model):
    """Some pools, with every device that belongs to one of them or was just put on one.

    The core draws it from the backend's last full answer and hands it in together with a probe
    whose ``signatures`` are those of ``devices`` alone.
    """

    pools: frozenset[str] = frozenset()
    """``PoolReport.native_id`` of each, as reported last; not of pools that are new."""
    devices: frozenset[str] = frozenset()
    """Kernel names of drives, of partitions and of devices built on them, such as a pool's own.
    Some may be gone."""

    def concerns(self, *names: str | None) -> bool:
        """Whether one of these is the native id of a pool or the kernel name of a device in it."""
        return any(name in self.pools or name in self.devices for name in names)
