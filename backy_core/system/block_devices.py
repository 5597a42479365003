"""From raw sysfs entries to a forest of block devices in the shape people know from lsblk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from backy_core.system.loops import Backing
from backy_core.system.mountinfo import MountEntry
from backy_core.system.sysfs import RawDevice, natural, unescape_hex
from backy_core.system.text import clean_name

_SECTOR = 512
"""sysfs counts sizes in 512-byte sectors whatever the disk's own sector size."""
_SCSI_ROM = "5"
_WHOLE_SERIALS = ("SCSI_IDENT_SERIAL", "ID_SCSI_SERIAL", "ID_SERIAL_SHORT", "ID_SERIAL")
_GENERIC_LINKS = ("wwn-", "nvme-eui.", "nvme-nvme.", "scsi-3", "scsi-1", "lvm-", "md-", "dm-")


@dataclass(frozen=True)
class BlockDevice:
    """One block device as it is now. Sizes are bytes.

    ``name`` is the kernel's (``sda``, ``dm-0``), ``path`` the node people use. ``fstype`` and
    ``uuid`` are udev's hints. ``children`` are partitions and what is built on the device,
    ``parents`` the kernel names of what it is part of or built on.
    """

    name: str
    path: str
    type: str
    size: int
    majmin: str
    serial: str | None = None
    wwn: str | None = None
    model: str | None = None
    vendor: str | None = None
    fstype: str | None = None
    uuid: str | None = None
    mountpoint: str | None = None
    links: tuple[str, ...] = ()
    """Bare names below ``/dev/disk/by-id``, the one to show first."""
    ro: bool = False
    logical_sector: int = 512
    diskseq: int | None = None
    multipath_leg: bool = False
    parents: tuple[str, ...] = ()
    children: tuple[BlockDevice, ...] = ()
    backing_file: str | None = None
    """Of a loop device over a file: the file. Over a block device: None, it is the parent."""
    raw: Mapping[str, str] = field(default_factory=dict, compare=False, hash=False, repr=False)
    """udev's properties."""

    @property
    def id_link(self) -> str | None:
        return self.links[0] if self.links else None

    def walk(self) -> Iterator[BlockDevice]:
        """This device and everything below it, each as often as it is reached."""
        yield self
        for child in self.children:
            yield from child.walk()


def assemble(
    raw: Sequence[RawDevice],
    links: Mapping[str, tuple[str, ...]],
    mounts: Sequence[MountEntry],
    swaps: frozenset[str],
    loops: Mapping[str, Backing] = MappingProxyType({}),
) -> tuple[BlockDevice, ...]:
    """Every device once, in natural order, with its children.

    ``loops``: what lies below each loop device, by its kernel name.
    """
    parents = {device.name: _parents(device) for device in raw}
    _add_loops(parents, loops)
    children: dict[str, list[str]] = {}
    for name, above in parents.items():
        for parent in above:
            children.setdefault(parent, []).append(name)
    by_name = {device.name: device for device in raw}
    mounted = _mountpoints(mounts)
    built: dict[str, BlockDevice] = {}

    def build(name: str) -> BlockDevice:
        if name not in built:
            below = tuple(build(child) for child in sorted(children.get(name, ()), key=natural))
            device = by_name[name]
            place = "[SWAP]" if name in swaps else _mountpoint(device, mounted)
            backing = loops.get(name)
            built[name] = _device(
                device,
                links.get(name, ()),
                place,
                parents[name],
                below,
                clean_name(backing.path) if backing and backing.is_file else None,
            )
        return built[name]

    return tuple(build(name) for name in sorted(by_name, key=natural))


def _add_loops(parents: dict[str, tuple[str, ...]], loops: Mapping[str, Backing]) -> None:
    """Make each loop device's backing its parent, except where that would close a circle: a volume
    may be extended by a loop device whose file it holds."""
    for name, backing in loops.items():
        below = backing.device
        if below in parents and name in parents and name not in _ancestry(below, parents):
            parents[name] = (*parents[name], below)


def _ancestry(name: str, parents: Mapping[str, tuple[str, ...]]) -> set[str]:
    """The device itself and all it lies on."""
    visited, pending = {name}, [name]
    while pending:
        above = set(parents.get(pending.pop(), ())) - visited
        visited |= above
        pending += above
    return visited


def _parents(device: RawDevice) -> tuple[str, ...]:
    if device.whole is not None:
        return (device.whole,)
    if "virtual" not in device.directory.parts:
        return ()
    return device.names_in("slaves")


def _device(
    raw: RawDevice,
    links: tuple[str, ...],
    mountpoint: str | None,
    parents: tuple[str, ...],
    children: tuple[BlockDevice, ...],
    backing_file: str | None,
) -> BlockDevice:
    properties = raw.properties
    whole = raw.whole is None and not parents
    serial = _serial(raw) if whole else None
    disk = raw.attribute("device/type") is not None or whole
    return BlockDevice(
        name=raw.name,
        path=_path(raw),
        type=_type(raw),
        size=raw.number("size") * _SECTOR,
        majmin=raw.majmin,
        serial=serial,
        wwn=_first(properties, "ID_WWN_WITH_EXTENSION", "ID_WWN"),
        model=_described(raw, "MODEL") if disk else None,
        vendor=_described(raw, "VENDOR") if disk else None,
        fstype=_first(properties, "ID_FS_TYPE"),
        uuid=_first(properties, "ID_FS_UUID"),
        mountpoint=mountpoint,
        links=tuple(sorted(links, key=lambda link: _rank(link, serial))),
        ro=raw.attribute("ro") == "1",
        logical_sector=raw.number("queue/logical_block_size") or _SECTOR,
        diskseq=int(raw.uevent["DISKSEQ"]) if raw.uevent.get("DISKSEQ", "").isdecimal() else None,
        multipath_leg=properties.get("DM_MULTIPATH_DEVICE_PATH") == "1",
        parents=parents,
        children=children,
        backing_file=backing_file,
        raw=properties,
    )


def _path(raw: RawDevice) -> str:
    mapped = raw.attribute("dm/name") if raw.name.startswith("dm-") else None
    return f"/dev/mapper/{mapped}" if mapped else f"/dev/{raw.uevent.get('DEVNAME', raw.name)}"


def _type(raw: RawDevice) -> str:
    if raw.whole is not None:
        return "part"
    if raw.name.startswith("dm-"):
        kind = (raw.attribute("dm/uuid") or "").partition("-")[0].lower()
        return ("part" if kind.startswith("part") else kind) or "dm"
    if raw.name.startswith("md"):
        return raw.attribute("md/level") or "md"
    if raw.name.startswith("loop"):
        return "loop"
    return "rom" if raw.attribute("device/type") == _SCSI_ROM else "disk"


def _serial(raw: RawDevice) -> str | None:
    """As lsblk chooses; without udev's word, what the driver itself says."""
    serial = _first(raw.properties, *_WHOLE_SERIALS) or clean_name(raw.attribute("device/serial"))
    return serial or clean_name(raw.attribute("serial"))


def _described(raw: RawDevice, property_name: str) -> str | None:
    encoded = raw.properties.get(f"ID_{property_name}_ENC")
    if encoded:
        return clean_name(unescape_hex(encoded))
    value = raw.properties.get(f"ID_{property_name}") or raw.attribute(
        f"device/{property_name.lower()}"
    )
    return clean_name(value)


def _first(properties: Mapping[str, str], *keys: str) -> str | None:
    return next((value for key in keys if (value := clean_name(properties.get(key)))), None)


def _rank(link: str, serial: str | None) -> tuple[bool, bool, int, str]:
    """Names that tell a person which drive it is come first."""
    telling = serial is not None and link.endswith(serial)
    return (link.startswith(_GENERIC_LINKS), not telling, len(link), link)


def _mountpoints(mounts: Sequence[MountEntry]) -> dict[str, str]:
    """First mount point by device number and, for many-device filesystems, by node."""
    mount_paths: dict[str, str] = {}
    for entry in mounts:
        mount_paths.setdefault(entry.majmin, entry.path)
        if entry.source.startswith("/dev/"):
            mount_paths.setdefault(str(Path(entry.source).resolve()), entry.path)
    return mount_paths


def _mountpoint(raw: RawDevice, mounted: Mapping[str, str]) -> str | None:
    return mounted.get(raw.majmin) or mounted.get(f"/dev/{raw.uevent.get('DEVNAME', raw.name)}")
