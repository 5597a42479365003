"""Whole drives: which there are, which is which, and which one a caller means.

A drive is its serial, checked against all drives for duplicates, with WWN and size beside it.
Kernel names are looked up each time and never trusted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, NamedTuple

from backy_core.config.settings import Settings
from backy_core.sdk.advice import Hint, Verb, advise
from backy_core.sdk.errors import Conflict, NotFound, SystemFailure
from backy_core.sdk.models import DriveId
from backy_core.system.blocks import BlockDevice
from backy_core.system.mounts import MountEntry
from backy_core.system.occupied import occupied_by_system

_NO_DRIVE = re.compile(r"(ram|zram|fd|zd|mtdblock)\d+|mmcblk\d+(boot\d+|rpmb|gp\d+)")
_BY_ID = "/dev/disk/by-id/"

_WITHOUT_IDENTITY = (
    "Connect it in a way that shows its serial number: by another adapter or port; a virtual "
    "disk needs one set"
)
IdentifiedBy = Literal["serial", "wwn", "link", "file", "name"]
"""What tells a drive from others: ``link`` is its name in ``/dev/disk/by-id``, ``file`` a loop
device's backing file. ``name``: its kernel name alone, which is another drive's after the next
boot."""

_LISTED = advise(Hint(Verb.LIST_DRIVES), " lists the drives")


class Drive(NamedTuple):
    """A whole drive as it is now. ``by_id`` are full paths, ``id_link`` a bare name."""

    id: DriveId
    device: BlockDevice
    system: bool = False
    """It holds the running system or swap, through any stack of devices."""
    ambiguous: bool = False
    """Another drive answers to the same serial."""
    excluded: bool = False
    problem: str | None = None
    """Why no pool can be made of it, whatever is on it: ``it is read-only``."""
    identified_by: IdentifiedBy = "serial"

    @property
    def name(self) -> str:
        return self.device.name

    @property
    def node(self) -> str:
        return self.device.path

    @property
    def by_id(self) -> tuple[str, ...]:
        return tuple(_BY_ID + link for link in self.device.links)

    @property
    def id_link(self) -> str | None:
        return self.device.id_link

    @property
    def identified(self) -> bool:
        """Whether it can be found again once kernel names have changed."""
        return self.identified_by != "name"


class DriveAbsent(SystemFailure):
    """The drive with this identity is not connected."""


def build_inventory(
    devices: Sequence[BlockDevice],
    mounts: Sequence[MountEntry],
    swaps: frozenset[str],
    settings: Settings,
) -> tuple[Drive, ...]:
    """Every whole drive, the system's and excluded ones included, in natural order.

    Left out: partitions, md and dm devices, ROM, RAM and zero-sized ones, loop devices unless
    allowed.
    """
    whole = [device for device in devices if _is_drive(device, settings)]
    counted = Counter(_serial(device) for device in whole)
    occupied = occupied_by_system(devices, mounts, swaps)
    return tuple(
        Drive(
            id=DriveId(serial=_serial(device), wwn=device.wwn, size=device.size),
            identified_by=_identity(device)[1],
            device=device,
            system=any(below.name in occupied for below in device.walk()),
            ambiguous=counted[_serial(device)] > 1,
            excluded=_is_excluded(device, settings.exclude_drives),
            problem=_problem(device),
        )
        for device in whole
    )


def _is_drive(device: BlockDevice, settings: Settings) -> bool:
    if not device.size or _NO_DRIVE.fullmatch(device.name):
        return False
    if device.type == "loop":  # one over a drive is part of that drive
        return settings.allow_loop and (device.backing_file is not None or not device.parents)
    return device.type == "disk" and not device.parents


def _serial(device: BlockDevice) -> str:
    return _identity(device)[0]


def _identity(device: BlockDevice) -> tuple[str, IdentifiedBy]:
    """The first of what tells it from other drives. ``serial`` is what the list shows it by."""
    candidates: tuple[tuple[str | None, IdentifiedBy], ...] = (
        (device.serial, "serial"),
        (device.wwn, "wwn"),
        (device.id_link, "link"),
        (device.backing_file, "file"),
    )
    identifiers = ((name, by) for text, by in candidates if (name := (text or "").strip()))
    return next(identifiers, (device.name, "name"))


def _is_excluded(device: BlockDevice, patterns: Iterable[str]) -> bool:
    names = (_serial(device), device.name, device.path, *device.links)
    names += tuple(_BY_ID + link for link in device.links)
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)


def unmatched(patterns: Iterable[str], drives: Sequence[Drive]) -> tuple[str, ...]:
    """Those of the settings' ``exclude_drives`` that exclude no connected drive."""
    return tuple(
        pattern
        for pattern in patterns
        if not any(_is_excluded(drive.device, (pattern,)) for drive in drives)
    )


def _problem(device: BlockDevice) -> str | None:
    if device.multipath_leg or any(child.type == "mpath" for child in device.children):
        return "it is one path of a multipath device"
    return "it is read-only" if device.ro else None


def unidentified_because(drive: Drive) -> Conflict | None:
    """The error for a drive that only its kernel name tells apart; None for any other."""
    if drive.identified:
        return None
    return Conflict(
        f"Drive {drive.name} has no serial number, WWN or link in /dev/disk/by-id: only its "
        "kernel name tells it apart, which may be another drive's after the next boot",
        hint=_WITHOUT_IDENTITY,
    )


def find(drives: Iterable[Drive], serial: str) -> Drive:
    """The drive with this serial. Raises :class:`NotFound`, or :class:`Conflict` for two."""
    matching = [drive for drive in drives if drive.id.serial == serial]
    if not matching:
        raise NotFound(f"There is no drive {serial}", hint=_LISTED)
    if len(matching) > 1:
        raise Conflict(
            f"{len(matching)} drives have the serial {serial}",
            details=", ".join(drive.node for drive in matching),
            hint="Unplug all but one of them",
        )
    return matching[0]


def find_by_path(drives: Iterable[Drive], dev_path: str) -> Drive:
    """The drive a ``/dev`` path leads to now. Raises :class:`NotFound`."""
    # Links are followed below /dev/disk alone: a path elsewhere may lie on a disk that hangs.
    path = Path(dev_path)
    links = ".." not in path.parts and Path("/dev/disk") in path.parents
    node = str(path.resolve() if links else path)
    for drive in drives:
        if dev_path in drive.by_id or node in (drive.node, f"/dev/{drive.name}"):
            return drive
    raise NotFound(f"There is no drive at {dev_path}", hint=_LISTED)


def resolve(drives: Iterable[Drive], identity: DriveId) -> Drive:
    """The drive with this very identity: serial, size and, where both are known, WWN.

    Raises :class:`DriveAbsent`, or :class:`SystemFailure` if another drive, or more than one,
    answers to the serial. A drive known by its kernel name alone is never the one that is meant.
    """
    named = [drive for drive in drives if drive.id.serial == identity.serial and drive.identified]
    if not named:
        raise DriveAbsent(f"Drive {identity.serial} is not connected")
    matching = [drive for drive in named if _same(drive.id, identity)]
    if not matching:
        raise SystemFailure(
            f"Another drive has the serial {identity.serial}",
            details=f"{named[0].node} has another size or WWN",
        )
    if len(matching) > 1:
        raise SystemFailure(
            f"{len(matching)} drives have the serial {identity.serial}",
            details=", ".join(drive.node for drive in matching),
        )
    return matching[0]


def is_same_drive(current: DriveId, expected: DriveId) -> bool:
    """Serial and size agree and, where both are known, the WWN."""
    return current.serial == expected.serial and _same(current, expected)


def _same(current: DriveId, expected: DriveId) -> bool:
    same_wwn = None in (current.wwn, expected.wwn) or current.wwn == expected.wwn
    return current.size == expected.size and same_wwn


def names_of(device: BlockDevice) -> Iterator[str]:
    """The device and its partitions, not what is built on them."""
    yield device.name
    yield from (child.name for child in device.children if child.type == "part")
