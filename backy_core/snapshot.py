"""One look at the machine, frozen: what there is, what it bears, what backends make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from backy_core.drives.inventory import Drive, names_of
from backy_core.sdk.models import PoolReport, Signature
from backy_core.system.blocks import BlockDevice
from backy_core.system.mounts import MountEntry, mount_at
from backy_core.system.occupied import devices_of


@dataclass(frozen=True)
class Snapshot:
    """``generation`` counts up; ``taken_at`` is the time of the look in seconds since 1970."""

    drives: tuple[Drive, ...] = ()
    devices: tuple[BlockDevice, ...] = ()
    signatures: Mapping[str, tuple[Signature, ...]] = field(default_factory=dict)
    """By kernel name. Drives and partitions: by a low-level probe. Devices of pools: udev's
    word, because opening an array's node would keep it from being stopped."""
    unprobed: Mapping[str, str] = field(default_factory=dict)
    """Devices whose signatures are unknown, with the reason."""
    mounts: tuple[MountEntry, ...] = ()
    swaps: frozenset[str] = frozenset()
    reports: Mapping[str, tuple[PoolReport, ...]] = field(default_factory=dict)
    """By backend; the last known ones while a backend fails."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """Backends whose last inspect failed, with the reason."""
    owned_types: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The signature types each backend owns."""
    taken_at: float = 0.0
    generation: int = 0

    def report_for(self, backend: str, identity: str) -> PoolReport | None:
        """A pool's report by its native id or the GUID stamped on it."""
        return self._reports_by_identity.get((backend, identity))

    def drive_of(self, device_name: str) -> Drive | None:
        """The whole drive a device or partition belongs to; None for stacked devices."""
        return self._drives_by_device.get(device_name)

    def signatures_of(self, drive: Drive) -> tuple[Signature, ...]:
        """What the drive and its partitions bear."""
        return tuple(
            signature
            for name in names_of(drive.device)
            for signature in self.signatures.get(name, ())
        )

    def mount_at(self, path: str) -> MountEntry | None:
        return mount_at(self.mounts, path)

    def places_of(self, source: str) -> tuple[str, ...]:
        """Where a source (``/dev/md127``, a dataset's name) is mounted, the innermost last.

        By source, not device number: btrfs shows an anonymous number in mountinfo.
        """
        return tuple(entry.path for entry in self._mounts_by_source.get(source, ()))

    def reachable_places_of(self, source: str) -> tuple[str, ...]:
        """As :meth:`places_of`, without those that the mount of another source covers."""
        return tuple(path for path in self.places_of(source) if self._tops.get(path) == source)

    @cached_property
    def connected(self) -> frozenset[str]:
        """The serials of all drives."""
        return frozenset(drive.id.serial for drive in self.drives)

    def mounts_on(self, drive: Drive) -> tuple[MountEntry, ...]:
        """Every mount that lies on the drive, through any stack of devices."""
        below = {device.name for device in drive.device.walk()}
        return tuple(entry for entry in self.mounts if below & self._mount_devices(entry))

    def _mount_devices(self, entry: MountEntry) -> frozenset[str]:
        return frozenset(devices_of(entry, self.devices, self.signatures))

    @cached_property
    def _drives_by_device(self) -> dict[str, Drive]:
        return {name: drive for drive in self.drives for name in names_of(drive.device)}

    @cached_property
    def _reports_by_identity(self) -> dict[tuple[str, str], PoolReport]:
        """The first of its kind wins, and native ids win over stamps."""
        found: dict[tuple[str, str], PoolReport] = {}
        each = [(backend, it) for backend, its in self.reports.items() for it in its]
        for backend, report in each:
            found.setdefault((backend, report.native_id), report)
        for backend, report in each:
            if report.guid is not None:
                found.setdefault((backend, report.guid), report)
        return found

    @cached_property
    def _mounts_by_source(self) -> dict[str, tuple[MountEntry, ...]]:
        found: dict[str, tuple[MountEntry, ...]] = {}
        for entry in self.mounts:
            source = _source(entry)
            found[source] = (*found.get(source, ()), entry)
        return found

    @cached_property
    def _tops(self) -> dict[str, str]:
        """The source of the topmost mount at each path: the last one there hides the others."""
        return {entry.path: _source(entry) for entry in self.mounts}


def _source(entry: MountEntry) -> str:
    """What a filesystem was mounted from; of a block device the kernel's own node."""
    source = entry.source
    return str(Path(source).resolve()) if source.startswith("/dev/") else source
