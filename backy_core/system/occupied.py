"""The block devices that the running system uses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from backy_core.sdk.models import Signature
from backy_core.system.blocks import BlockDevice
from backy_core.system.mounts import MountEntry

SYSTEM_PATHS = frozenset({"/", "/boot", "/boot/efi", "/efi", "/usr", "/var", "/etc"})
_ZFS = ("zfs", "fuse.zfs")
_MANY_DEVICES = {"btrfs": "btrfs", "bcachefs": "bcachefs"} | dict.fromkeys(_ZFS, "zfs_member")
"""Filesystems over many devices, of which mountinfo names one or none."""


def occupied_by_system(
    devices: Sequence[BlockDevice], mounts: Sequence[MountEntry], swaps: frozenset[str]
) -> frozenset[str]:
    """Kernel names of the devices that hold a system directory or swap, stacks not followed."""
    system = [entry for entry in mounts if entry.path in SYSTEM_PATHS]
    names = (name for entry in system for name in devices_of(entry, devices))
    return swaps | frozenset(names)


def devices_of(
    entry: MountEntry,
    devices: Sequence[BlockDevice],
    probed: Mapping[str, Sequence[Signature]] = MappingProxyType({}),
) -> Iterator[str]:
    """Kernel names of the devices a mount lies on.

    A filesystem over many devices counts for each device with its UUID; if none is found, for each
    with its type. ZFS names the dataset, and each of its devices names the pool, the dataset's
    first part. ``probed`` are signatures by kernel name: udev may miss a new filesystem, or a
    device that joined one.
    """
    nodes = {entry.source}
    if entry.source.startswith("/dev/"):
        nodes.add(str(Path(entry.source).resolve()))
    direct = [
        device
        for device in devices
        if device.majmin == entry.majmin or nodes & {device.path, f"/dev/{device.name}"}
    ]
    yield from (device.name for device in direct)
    kind = _MANY_DEVICES.get(entry.fstype)
    if kind is None:
        return
    uuids = {device.uuid for device in direct if device.uuid}
    for device in direct:
        own = (signature for signature in probed.get(device.name, ()) if signature.type == kind)
        uuids |= {signature.uuid for signature in own if signature.uuid}
    for device in devices:
        named = entry.fstype not in _ZFS or _in_zpool(device, entry)
        identified = device.fstype == kind and named and (not uuids or device.uuid in uuids)
        bears = probed.get(device.name, ())
        if identified or any(
            signature.type == kind and signature.uuid in uuids for signature in bears
        ):
            yield device.name


def _in_zpool(device: BlockDevice, entry: MountEntry) -> bool:
    """Taken for one if udev does not say: it writes other characters than these as ``_``."""
    pool = re.sub(r"[^\w.:-]", "_", entry.source.partition("/")[0])
    return device.raw.get("ID_FS_LABEL", pool) == pool
