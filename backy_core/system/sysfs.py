"""Read each block device from sysfs and udev's database. Starts no process.

``lsblk`` reads the same sources; read directly, all devices take a few milliseconds and no child.
udev's properties are hints for people (model, filesystem). Facts that must be right, such as
signatures, are probed on the device itself.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from backy_core.system.absence import suppress_gone

_READ_LIMIT = 65536
_NO_VALUE = frozenset({errno.EINVAL, errno.EIO, errno.EOPNOTSUPP, errno.EAGAIN})
"""What attributes answer that have no value just now, or whose device is going."""
_HEX_ESCAPE = re.compile(r"\\x([0-9a-fA-F]{2})")


class Roots(NamedTuple):
    """The directories of the kernel's and udev's views."""

    sys: Path = Path("/sys")
    dev: Path = Path("/dev")
    udev_data: Path = Path("/run/udev/data")


HOST = Roots()


class RawDevice(NamedTuple):
    """One entry of ``/sys/class/block``. ``properties`` are udev's."""

    name: str
    directory: Path
    uevent: Mapping[str, str]
    properties: Mapping[str, str]

    @property
    def majmin(self) -> str:
        return f"{self.uevent.get('MAJOR', '0')}:{self.uevent.get('MINOR', '0')}"

    @property
    def whole(self) -> str | None:
        """The disk this is a partition of; partitions lie inside their disk's directory."""
        return self.directory.parent.name if self.uevent.get("DEVTYPE") == "partition" else None

    def attribute(self, name: str) -> str | None:
        text = read_attribute(self.directory / name)
        return text.strip() or None if text is not None else None

    def number(self, name: str) -> int:
        text = self.attribute(name)
        return int(text) if text and text.isdecimal() else 0

    def names_in(self, directory: str) -> tuple[str, ...]:
        return names_in(self.directory / directory)


def read_raw_devices(roots: Roots = HOST) -> tuple[RawDevice, ...]:
    """Every block device of the kernel but empty ones (unused loops, empty readers)."""
    devices = (_read(roots, name) for name in names_in(roots.sys / "class/block"))
    return tuple(device for device in devices if device is not None)


def read_attribute(path: Path) -> str | None:
    """A small file; None if it is gone, has no value, or its device is going.

    Raises :class:`LookFailed` if it is there and cannot be read.
    """
    return _read_file(path, whole=False)


def read_whole(path: Path) -> str | None:
    """As :func:`read_attribute`, for files of procfs: those come in pieces of about a page."""
    return _read_file(path, whole=True)


def _read_file(path: Path, *, whole: bool) -> str | None:
    if "\0" in str(path):
        return None
    with suppress_gone(path, _NO_VALUE):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            pieces = [os.read(descriptor, _READ_LIMIT)]
            while whole and pieces[-1]:
                pieces.append(os.read(descriptor, _READ_LIMIT))
        finally:
            os.close(descriptor)
        return b"".join(pieces).decode("utf-8", "replace")
    return None


def names_in(directory: Path) -> tuple[str, ...]:
    """Sorted names; empty if the directory is absent. Raises :class:`LookFailed`."""
    with suppress_gone(directory):
        return tuple(sorted((entry.name for entry in directory.iterdir()), key=natural))
    return ()


def natural(name: str) -> tuple[list[str | int], str]:
    """Sort key: ``sda2`` before ``sda10``. No two names have the same."""
    parts = re.split(r"(\d+)", name)
    return [int(part) if part.isdecimal() else part for part in parts], name


def unescape_hex(text: str) -> str:
    """udev writes unsafe characters of ``*_ENC`` values as ``\\xNN`` bytes of UTF-8."""
    raw = _HEX_ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    try:
        return raw.encode("latin-1").decode("utf-8", "replace").strip()
    except UnicodeEncodeError:
        return text.strip()


def _read(roots: Roots, name: str) -> RawDevice | None:
    parent = roots.sys / "class/block"
    directory: Path | None = None
    with suppress_gone(parent / name):
        directory = Path(os.path.normpath(parent / (parent / name).readlink()))
    if directory is None:
        return None
    size = (read_attribute(directory / "size") or "").strip()
    if not size.isdecimal() or int(size) == 0:
        return None
    uevent = _pairs(read_attribute(directory / "uevent"))
    if "MAJOR" not in uevent:
        return None
    database = roots.udev_data / f"b{uevent['MAJOR']}:{uevent.get('MINOR', '0')}"
    return RawDevice(name, directory, uevent, _properties(read_attribute(database)))


def _pairs(text: str | None) -> dict[str, str]:
    lines = (line.partition("=") for line in (text or "").split("\n"))
    return {key: value for key, separator, value in lines if separator}


def _properties(text: str | None) -> dict[str, str]:
    lines = (line[2:] for line in (text or "").split("\n") if line.startswith("E:"))
    return _pairs("\n".join(lines))
