"""Loop devices: what lies below each. sysfs shows no holder for them, and neither an exclusive
open of the device below nor its partitions tell that a loop device writes to it."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from backy_core.system.absence import suppress_gone
from backy_core.system.mountinfo import MountEntry
from backy_core.system.sysfs import read_attribute

_GET_STATUS = 0x4C05
"""LOOP_GET_STATUS64 of <linux/loop.h>."""
_STATUS = struct.Struct("=5Q4I160s2Q")
_UNBOUND = frozenset({errno.EINVAL})
_REMOTE = ("nfs", "cifs", "smb", "fuse", "9p", "ceph", "afs")
"""Filesystems that may not answer; none of them lies on one drive of this host."""


class Backing(NamedTuple):
    """The backing file or device of a loop device. ``path`` is the kernel's name for it.

    ``device``: kernel name of the block device it is, or of the one whose filesystem holds the
    file; None where there is none, as on a network mount.
    """

    path: str
    device: str | None
    is_file: bool


def backing_of(name: str, mounts: Sequence[MountEntry]) -> Backing | None:
    """The backing of a device such as ``loop0``; None if unbound. Raises :class:`LookFailed`."""
    path = (read_attribute(Path("/sys/class/block") / name / "loop/backing_file") or "").strip()
    if not path:
        return None
    below = _mount_of(path, mounts)
    if below is not None and below.fstype.startswith(_REMOTE):
        return Backing(path, None, is_file=True)
    numbers = numbers_of(name)
    if numbers is None:  # no node here to ask: the path has to do
        if path.startswith("/dev/"):
            return Backing(path, Path(path).resolve().name, is_file=False)
        return Backing(path, _device_of(below), is_file=True)
    filesystem, itself = numbers
    if itself:
        return Backing(path, _name_of(itself), is_file=False)
    return Backing(path, _name_of(filesystem) or _device_of(below), is_file=True)


def numbers_of(name: str) -> tuple[int, int] | None:
    """Device numbers of the filesystem that holds the file, and of the file if it is a device (else
    0); None if it is not bound."""
    node = Path("/dev") / name
    with suppress_gone(node, _UNBOUND):
        descriptor = os.open(node, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            answer = fcntl.ioctl(descriptor, _GET_STATUS, bytes(_STATUS.size))
        finally:
            os.close(descriptor)
        filesystem, _, itself, *_ = _STATUS.unpack(answer)
        return filesystem, itself
    return None


def _name_of(number: int) -> str | None:
    link = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    with suppress_gone(link):
        return link.readlink().name
    return None


def _mount_of(path: str, mounts: Sequence[MountEntry]) -> MountEntry | None:
    """The mount that holds ``path``, by its name alone: a dead filesystem is not touched."""
    above = [mount for mount in mounts if path.startswith(mount.path.rstrip("/") + "/")]
    return max(above, key=lambda mount: len(mount.path), default=None)


def _device_of(mount: MountEntry | None) -> str | None:
    if mount is None or not mount.source.startswith("/dev/"):
        return None
    return Path(mount.source).resolve().name
