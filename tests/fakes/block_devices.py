"""Block devices, mounts and drives as a test describes them, without a machine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from backy_core.config.settings import Settings
from backy_core.machine import inventory
from backy_core.machine.inventory import Drive
from backy_core.system.blocks import BlockDevice
from backy_core.system.mounts import MountEntry

SIZE = 1 << 30


def disk(name: str, serial: str | None = None, **facts: Any) -> BlockDevice:
    given = {"type": "disk", "size": SIZE, "majmin": f"8:{sum(name.encode())}", **facts}
    return BlockDevice(name=name, path=f"/dev/{name}", serial=serial, **given)


def on(parent: BlockDevice, name: str, kind: str = "part", **facts: Any) -> BlockDevice:
    """A device on ``parent``, which is returned with it as its child."""
    child = disk(name, type=kind, parents=(parent.name,), **facts)
    return replace(parent, children=(*parent.children, child))


def flat(*devices: BlockDevice) -> tuple[BlockDevice, ...]:
    return tuple({below.name: below for device in devices for below in device.walk()}.values())


def mounted(
    path: str, majmin: str = "0:0", source: str = "none", fstype: str = "ext4"
) -> MountEntry:
    return MountEntry(majmin, "/", path, frozenset(), fstype, source)


def found_in(
    *devices: BlockDevice,
    mounts: tuple[MountEntry, ...] = (),
    swaps: frozenset[str] = frozenset(),
    **settings: Any,
) -> tuple[Drive, ...]:
    return inventory.build_inventory(flat(*devices), mounts, swaps, Settings(**settings))
