"""Select the drives that the contract may erase, and prove that they are unused."""

from __future__ import annotations

import fnmatch
import os
from dataclasses import dataclass
from pathlib import Path

from backy_core.config.settings import Settings
from backy_core.machine.inventory import Drive, build_inventory
from backy_core.system import blocks, mounts

DRIVES = "BACKY_CONTRACT_DRIVES"
"""Environment: a pattern of serials, as ``drive-scsi*``."""
REQUIRED = "BACKY_REQUIRE_KERNEL"

_EMULATED = frozenset(("LAB", "QEMU", "LIO-ORG", "Linux", "VBOX", "VMware", "Msft", "0x1af4"))
"""Vendors of drives that exist in memory or in a file: the lab's and LIO's targets, QEMU,
scsi_debug, virtual machines, virtio."""
HINT = (
    f"the kernel part of the contract needs root and {DRIVES}=PATTERN, serials of emulated drives "
    "that may be erased"
)


class NotDisposable(AssertionError):
    """A drive that was named could be a real one."""


@dataclass(frozen=True)
class Permission:
    """The drives that may be erased, by serial, and all others by kernel name."""

    serials: tuple[str, ...]
    untouchable: tuple[str, ...]


def why_not() -> str | None:
    """Why the kernel part cannot run here; None if it can."""
    if not os.environ.get(DRIVES) or os.geteuid() != 0:
        return HINT
    return None


def required() -> bool:
    """Whether leaving the kernel part out would hide something."""
    return os.environ.get(REQUIRED) == "1" or os.environ.get("CI") == "true"


def permission() -> Permission:
    """Raises :class:`NotDisposable` unless every named drive is emulated and not the system's."""
    inventory = build_inventory(
        blocks.read_block_devices(), mounts.read_mounts(), blocks.swaps(), Settings()
    )
    named = [d for d in inventory if fnmatch.fnmatch(d.id.serial, os.environ[DRIVES])]
    for drive in named:
        _prove(drive)
    other_names = tuple(d.name for d in inventory if d not in named)
    return Permission(tuple(sorted(d.id.serial for d in named)), other_names)


def _prove(drive: Drive) -> None:
    if drive.system or drive.ambiguous:
        raise NotDisposable(f"{drive.name} ({drive.id}) is the system's or not unique")
    if drive.name.startswith("ubd"):  # User Mode Linux's own driver: a file of its host
        return
    vendor = (_attribute(drive.name, "device/vendor") or drive.device.vendor or "").strip()
    if vendor not in _EMULATED:
        raise NotDisposable(
            f"{drive.name} ({drive.id}) is by {vendor or 'nobody'}, which may be a real drive"
        )


def _attribute(name: str, attribute: str) -> str | None:
    try:
        return Path(f"/sys/block/{name}/{attribute}").read_text()
    except OSError:
        return None
