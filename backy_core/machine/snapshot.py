"""A frozen snapshot of the machine: its devices, their signatures and the backends' reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar

from backy_core.machine.inventory import Drive, names_of
from backy_core.sdk.events import PoolChange
from backy_core.sdk.models import DriveId, PoolReport, Presence, Signature
from backy_core.sdk.stack import Layer, LayerReport
from backy_core.system.blocks import BlockDevice
from backy_core.system.mountinfo import MountTree
from backy_core.system.mounts import MountEntry, mount_at
from backy_core.system.occupied import devices_of

K = TypeVar("K")
T = TypeVar("T")


_NEARNESS: tuple[Presence, ...] = ("active", "inactive", "stopped", "absent")


def nearest(reports: Iterable[PoolReport]) -> list[PoolReport]:
    """Reports, running pools first, so that a drive with a copied identity cannot replace one."""
    return sorted(reports, key=lambda report: _NEARNESS.index(report.presence))


@dataclass(frozen=True)
class Snapshot:
    """The machine at one moment. ``generation`` counts up."""

    drives: tuple[Drive, ...] = ()
    devices: tuple[BlockDevice, ...] = ()
    signatures: Mapping[str, tuple[Signature, ...]] = field(default_factory=dict)
    """By kernel name. Drives and partitions: by a low-level probe. Devices of pools: udev's
    word, because opening an array's node would keep it from being stopped."""
    unprobed: Mapping[str, str] = field(default_factory=dict)
    """Devices whose signatures are unknown, with the reason."""
    mounts: tuple[MountEntry, ...] = ()
    elsewhere: tuple[MountEntry, ...] = ()
    """What other mount namespaces have mounted, looked for while a running pool is not mounted."""
    given_up: Mapping[str, str] = field(default_factory=dict)
    """Filesystems that refuse all work without saying so in ``mounts``: what they say instead, by
    device number."""
    swaps: frozenset[str] = frozenset()
    reports: Mapping[str, tuple[PoolReport, ...]] = field(default_factory=dict)
    """By backend; the last known ones while a backend fails."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """Backends whose last inspect failed, with the reason."""
    unreadable: Mapping[str, Mapping[DriveId, str]] = field(default_factory=dict)
    """By backend: drives that bear its signature and cannot be read, with the reason."""
    kept: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By backend: native ids of the reports that are old, for their drives cannot be read."""
    layers: Mapping[str, tuple[LayerReport, ...]] = field(default_factory=dict)
    """By kind; the last known ones while a layer plugin fails."""
    layer_problems: Mapping[str, str] = field(default_factory=dict)
    """Kinds of layers whose last inspection failed, with the reason."""
    owned_types: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The signature types each backend owns."""
    generation: int = 0

    def report_for(
        self, backend: str, identity: str, layers: tuple[Layer, ...] = ()
    ) -> PoolReport | None:
        """A pool's report by its native id or the GUID stamped on it, with ``layers`` over it."""
        report = self._reports_by_identity.get((backend, identity))
        return self.stacked(report, layers) if report and layers else report

    def stacked(self, report: PoolReport, layers: tuple[Layer, ...]) -> PoolReport:
        """``report`` with what is seen of its ``layers``: the pool is active only if all are."""
        if not layers:
            return report
        above = tuple(map(self._layer_report, layers))
        own = LayerReport(identity=report.native_id, presence=report.presence, device=report.device)
        presence, device = report.presence, above[-1].device
        if presence == "active" and any(layer.presence != "active" for layer in above):
            presence = "inactive"
        if presence != "active":
            device = None
        return report.model_copy(
            update={"layers": (own, *above), "presence": presence, "device": device}
        )

    def _layer_report(self, layer: Layer) -> LayerReport:
        reports = self.layers.get(layer.kind, ())
        same = (report for report in reports if report.identity == layer.identity)
        return next(same, LayerReport(identity=layer.identity, presence="absent"))

    def unseen_because(
        self, backend: str, report: PoolReport | None, serials: Iterable[str]
    ) -> str | None:
        """Why nothing new can be told of a pool, whose last ``report`` and drives these are.

        None: ``report`` is fresh, or without one the pool is really not there.
        """
        if problem := self.problems.get(backend):
            return f"Backend {backend} cannot inspect its pools: {problem}"
        if report is not None and report.native_id not in self.kept.get(backend, ()):
            return None
        member_serials = {drive.serial for drive in report.drives} if report else ()
        for drive, reason in self.unreadable.get(backend, {}).items():
            if drive.serial in {*serials, *member_serials}:
                return f"Backend {backend} cannot read drive {drive.serial}: {reason}"
        return None

    def layer_unseen_because(self, layers: Iterable[Layer]) -> str | None:
        """Why nothing new can be told of one of these layers; None if all can be inspected."""
        failing = (layer.kind for layer in layers if layer.kind in self.layer_problems)
        kind = next(failing, None)
        return kind and f"Layer {kind} cannot be inspected: {self.layer_problems[kind]}"

    def drive_of(self, device_name: str) -> Drive | None:
        """The whole drive a device or partition belongs to; None for stacked devices."""
        return self._drives_by_device.get(device_name)

    def drives_below(self, device_name: str) -> frozenset[Drive]:
        """The whole drives a device lies on, through any stack of devices."""
        visited, pending = {device_name}, [device_name]
        while pending:
            device = self._devices_by_name.get(pending.pop())
            above = set(device.parents if device else ()) - visited
            visited |= above
            pending += above
        return frozenset(drive for name in visited if (drive := self.drive_of(name)) is not None)

    def signatures_of(self, drive: Drive) -> tuple[Signature, ...]:
        """Signatures of the drive and its partitions."""
        return tuple(
            signature
            for name in names_of(drive.device)
            for signature in self.signatures.get(name, ())
        )

    def mount_at(self, path: str) -> MountEntry | None:
        return mount_at(self.mounts, path)

    def mounts_at(self, path: str | None) -> tuple[MountEntry, ...]:
        """All that are stacked exactly at ``path``."""
        return self._mounts_by_path.get(path, ()) if path else ()

    def mounts_numbered(self, majmin: str) -> tuple[MountEntry, ...]:
        """Every mount of the filesystem with this device number, bind mounts included."""
        return self._mounts_by_number.get(majmin, ())

    def mounts_from(self, source: str) -> tuple[MountEntry, ...]:
        """Every mount of a source (``/dev/md127``, a dataset's name).

        btrfs shows an anonymous device number in mountinfo, so the source counts as well.
        """
        return self._mounts_by_source.get(source, ())

    def mounts_of(self, report: PoolReport | None) -> tuple[MountEntry, ...]:
        """Every mount of what a backend reports: its filesystem or its block device."""
        if report is None or report.source is not None:
            return self.mounts_from(report.source or "") if report else ()
        device = self.device_named(report.device) if report.device else None
        if device is not None:
            return self.mounts_on_device(device)
        return self.mounts_from(f"/dev/{report.device}") if report.device else ()

    def gave_up(self, mount: MountEntry) -> bool:
        """Whether its filesystem met an error and may take no more data."""
        return mount.gave_up or mount.majmin in self.given_up

    def in_doubt(self, report: PoolReport) -> bool:
        """Whether its filesystem gave up, so that its members may have failed unannounced."""
        return report.health != "failed" and any(map(self.gave_up, self.mounts_of(report)))

    def mounts_on_device(self, device: BlockDevice) -> tuple[MountEntry, ...]:
        named = self.mounts_from(f"/dev/{device.name}")
        return tuple(dict.fromkeys((*named, *self.mounts_numbered(device.majmin))))

    def covers(self, mount: MountEntry) -> MountEntry | None:
        """The mount that hides ``mount``; None if its path leads to it."""
        return self._tree.covers(mount)

    def device_named(self, name: str) -> BlockDevice | None:
        return self._devices_by_name.get(name)

    def device_under(self, mount: MountEntry) -> BlockDevice | None:
        """The block device a mount is of, as far as mountinfo tells."""
        by_number = self._devices_by_number.get(mount.majmin)
        return by_number or self.device_named(_source(mount).removeprefix("/dev/"))

    def devices_with(self, uuid: str) -> tuple[BlockDevice, ...]:
        """Devices whose filesystem has this UUID, by udev's word."""
        return self._devices_by_uuid.get(uuid, ())

    def changes_since(self, before: Snapshot, seen_at: datetime) -> Iterator[PoolChange]:
        """The pools whose reports differ from those in ``before``, by backend and native id."""
        for backend in sorted({*before.reports, *self.reports}):
            old, new = before._by_native_id(backend), self._by_native_id(backend)
            for native_id in sorted({*old, *new}):
                was, now = old.get(native_id), new.get(native_id)
                if was != now:
                    yield PoolChange(backend=backend, seen_at=seen_at, before=was, after=now)

    def following(self, before: Snapshot) -> Snapshot:
        """The same as the next after ``before``, whose equal parts and their indexes it shares.

        The indexes of a thousand pools cost more than the inspection that found a change.
        """
        shared = {
            name: part for name in _PARTS if getattr(self, name) == (part := getattr(before, name))
        }
        after = replace(self, generation=before.generation + 1, **shared)
        for index, parts in _INDEXED.items():
            if index in vars(before) and parts <= shared.keys():
                vars(after)[index] = vars(before)[index]
        return after

    def differs_from(self, before: Snapshot) -> bool:
        """Whether anything but the generation differs."""
        return bool(self._parts_unlike(before))

    def changed_identities(self, before: Snapshot) -> frozenset[tuple[str, str]] | None:
        """Backend and identity, native and stamped, of each pool with another report than in
        ``before``; None if more than reports differs."""
        if not self._parts_unlike(before) <= {"reports"}:
            return None
        changed = (
            (backend, report)
            for backend in {*before.reports, *self.reports}
            for pair in zip_longest(before.reports.get(backend, ()), self.reports.get(backend, ()))
            if pair[0] is not pair[1] and pair[0] != pair[1]
            for report in pair
            if report is not None
        )
        return frozenset(
            (backend, identity)
            for backend, report in changed
            for identity in (report.native_id, report.guid)
            if identity is not None
        )

    def _parts_unlike(self, before: Snapshot) -> set[str]:
        pairs = ((name, getattr(self, name), getattr(before, name)) for name in _PARTS)
        return {name for name, now, then in pairs if now is not then and now != then}

    def _by_native_id(self, backend: str) -> dict[str, PoolReport]:
        reports = reversed(nearest(self.reports.get(backend, ())))
        return {report.native_id: report for report in reports}

    @cached_property
    def connected(self) -> frozenset[str]:
        """The serials of all drives."""
        return frozenset(drive.id.serial for drive in self.drives)

    def mounts_on(self, drive: Drive) -> tuple[MountEntry, ...]:
        """Every mount that lies on the drive, through any stack of devices."""
        below = {device.name for device in drive.device.walk()}
        places = {place for name in below for place in self._mount_places.get(name, ())}
        return tuple(self.mounts[place] for place in sorted(places))

    def pools_on(self, drive: DriveId) -> tuple[tuple[str, PoolReport], ...]:
        """Backend and report of each pool with a member on the drive."""
        return self._pools_by_drive.get(drive, ())

    @cached_property
    def _mount_places(self) -> dict[str, tuple[int, ...]]:
        """Places in ``mounts`` by the name of a device that the mount lies on."""
        return _grouped(
            (name, place)
            for place, entry in enumerate(self.mounts)
            for name in devices_of(entry, self.devices, self.signatures)
        )

    @cached_property
    def _pools_by_drive(self) -> dict[DriveId, tuple[tuple[str, PoolReport], ...]]:
        return _grouped(
            (drive, (backend, report))
            for backend, reports in self.reports.items()
            for report in reports
            for drive in dict.fromkeys(report.drives)
        )

    @cached_property
    def _drives_by_device(self) -> dict[str, Drive]:
        return {name: drive for drive in self.drives for name in names_of(drive.device)}

    @cached_property
    def _reports_by_identity(self) -> dict[tuple[str, str], PoolReport]:
        """Native ids win over stamps, and what the kernel runs over what drives say of it."""
        by_identity: dict[tuple[str, str], PoolReport] = {}
        reported = [
            (backend, report) for backend, its in self.reports.items() for report in nearest(its)
        ]
        for backend, report in reported:
            by_identity.setdefault((backend, report.native_id), report)
        for backend, report in reported:
            if report.guid is not None:
                by_identity.setdefault((backend, report.guid), report)
        return by_identity

    @cached_property
    def _tree(self) -> MountTree:
        return MountTree(self.mounts)

    @cached_property
    def _mounts_by_source(self) -> dict[str, tuple[MountEntry, ...]]:
        return _grouped((_source(entry), entry) for entry in self.mounts)

    @cached_property
    def _mounts_by_number(self) -> dict[str, tuple[MountEntry, ...]]:
        return _grouped((entry.majmin, entry) for entry in self.mounts)

    @cached_property
    def _mounts_by_path(self) -> dict[str, tuple[MountEntry, ...]]:
        return _grouped((entry.path, entry) for entry in self.mounts)

    @cached_property
    def _devices_by_name(self) -> dict[str, BlockDevice]:
        return {device.name: device for device in self.devices}

    @cached_property
    def _devices_by_number(self) -> dict[str, BlockDevice]:
        return {device.majmin: device for device in self.devices}

    @cached_property
    def _devices_by_uuid(self) -> dict[str, tuple[BlockDevice, ...]]:
        return _grouped((device.uuid, device) for device in self.devices if device.uuid)


_PARTS = tuple(part.name for part in fields(Snapshot) if part.name != "generation")
_INDEXED: Mapping[str, frozenset[str]] = {
    "connected": frozenset({"drives"}),
    "_drives_by_device": frozenset({"drives"}),
    "_devices_by_name": frozenset({"devices"}),
    "_devices_by_number": frozenset({"devices"}),
    "_devices_by_uuid": frozenset({"devices"}),
    "_reports_by_identity": frozenset({"reports"}),
    "_pools_by_drive": frozenset({"reports"}),
    "_tree": frozenset({"mounts"}),
    "_mounts_by_number": frozenset({"mounts"}),
    "_mounts_by_path": frozenset({"mounts"}),
    "_mount_places": frozenset({"mounts", "devices", "signatures"}),
    # a source is resolved, and where a link leads changes with the devices
    "_mounts_by_source": frozenset({"mounts", "devices"}),
}
"""The parts that each index is made of."""


def _source(entry: MountEntry) -> str:
    """The source of a mount; for a block device, the kernel's own node."""
    source = entry.source
    return str(Path(source).resolve()) if source.startswith("/dev/") else source


def _grouped(pairs: Iterable[tuple[K, T]]) -> dict[K, tuple[T, ...]]:
    groups: dict[K, list[T]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in groups.items()}
