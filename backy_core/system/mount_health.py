"""Filesystems that gave up and do not say so in mountinfo.

XFS never does. An ext4 that refuses all writes after an error still reads ``rw`` there on some
kernels (seen on Debian's 6.1), where only its count of errors tells.
"""

from __future__ import annotations

import asyncio
import errno
import os
import struct
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from backy_core.system.mountinfo import MountEntry
from backy_core.system.sysfs import read_attribute
from backy_core.system.threads import apart, in_thread

_GAVE_UP = (errno.EIO, errno.ESHUTDOWN, errno.EUCLEAN)
_ANSWER_S = 1.0
_EXT4_MOUNT_TIME = 1024 + 0x2C
"""Offset in an ext4 superblock of the time of the last mount for writing."""


async def given_up(mounts: Iterable[MountEntry]) -> Mapping[str, str]:
    """Evidence of filesystems that gave up after an error, by device number.

    Leave out filesystems that do not answer: a disk that hangs may come back.
    """
    entries = {entry.majmin: entry for entry in mounts if entry.fstype in _ASK}
    by_device = await apart(partial(_suspects, entries), "count errors")
    answers = await asyncio.gather(*(_problem(entry) for entry in by_device.values()))
    return {number: answer for number, answer in zip(by_device, answers, strict=True) if answer}


def _suspects(by_device: Mapping[str, MountEntry]) -> dict[str, MountEntry]:
    """All but those of ext4 that count no error, which sysfs tells without a thread for each."""
    return {
        number: entry
        for number, entry in by_device.items()
        if entry.fstype != "ext4" or _errors(entry)
    }


async def _problem(entry: MountEntry) -> str | None:
    ask = partial(_ASK[entry.fstype], entry)
    try:
        return await in_thread(ask, f"ask {entry.path}", _ANSWER_S)
    except TimeoutError:
        return None


def _xfs(entry: MountEntry) -> str | None:
    """After a shutdown even the root's attributes are refused."""
    try:
        Path(entry.path).stat()
    except OSError as error:
        return error.strerror if error.errno in _GAVE_UP else None
    return None


def _ext4(entry: MountEntry) -> str | None:
    """Errors counted since it was mounted. The count lasts until e2fsck clears it."""
    name, count = _name(entry), _errors(entry)
    if not count or _number(name, "last_error_time") < _mounted_since(f"/dev/{name}"):
        return None
    return f"ext4 counts {count} errors"


def _errors(entry: MountEntry) -> int:
    return _number(_name(entry), "errors_count")


def _name(entry: MountEntry) -> str:
    """The kernel's name of its device; empty if that is gone."""
    try:
        return Path(f"/sys/dev/block/{entry.majmin}").readlink().name
    except OSError:
        return ""


def _number(name: str, attribute: str) -> int:
    text = (read_attribute(Path("/sys/fs/ext4", name, attribute)) or "").strip()
    return int(text) if text.isdecimal() else 0


def _mounted_since(node: str) -> int:
    """In seconds since 1970, from the superblock as the kernel has it in memory; 0: unknown."""
    try:
        descriptor = os.open(node, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        (seconds,) = struct.unpack("<I", os.pread(descriptor, 4, _EXT4_MOUNT_TIME))
    except (OSError, struct.error):
        return 0
    finally:
        os.close(descriptor)
    return int(seconds)


_ASK = {"xfs": _xfs, "ext4": _ext4}
