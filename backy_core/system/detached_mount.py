"""Read a filesystem through a detached mount.

The mount API of Linux 5.2 makes a mount that is attached to no directory and no namespace. No
process can use it, it covers nothing, and it ends with its descriptor, even when the agent is
killed. The system call numbers are the same on every architecture that Debian supports.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from types import MappingProxyType

_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
_CLOEXEC = 1
_SET_FLAG, _SET_STRING, _CREATE = 0, 1, 6
_READ_ONLY_NOSUID_NODEV_NOEXEC = 0x1 | 0x2 | 0x4 | 0x8
_TOP_LEVEL: Mapping[str, Mapping[str, str]] = MappingProxyType({"btrfs": {"subvolid": "5"}})
"""Options that show all of a filesystem: the default subvolume of a btrfs can be any."""
_MADE_WITH_IT = "lost+found"


def names_inside(node: str, fstype: str) -> tuple[str, ...]:
    """Names at the top of the filesystem on ``node``, without those of a new filesystem.

    The filesystem is mounted read-only and its journal replayed, which shows the newest files.
    Blocks as long as the device does. Raises :class:`OSError`, EBUSY if it is already mounted.
    """
    with _mounted(node, fstype) as root:
        return names_in(".", dir_fd=root)


def names_in(path: str, *, dir_fd: int | None = None) -> tuple[str, ...]:
    """As :func:`names_inside`, of a directory where a filesystem is mounted already."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    top = os.open(path, flags, dir_fd=dir_fd)
    try:
        names = set(os.listdir(top))  # noqa: PTH208 Path knows no descriptors
        if _MADE_WITH_IT in names and not _holds_files(top):
            names.discard(_MADE_WITH_IT)
    finally:
        os.close(top)
    return tuple(sorted(names))


def _holds_files(top: int) -> bool:
    """Whether ``lost+found`` counts as data: files that fsck found, or not a directory at all."""
    try:
        descriptor = os.open(
            _MADE_WITH_IT, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top
        )
    except NotADirectoryError:
        return True
    try:
        return bool(os.listdir(descriptor))  # noqa: PTH208
    finally:
        os.close(descriptor)


@contextmanager
def _mounted(node: str, fstype: str) -> Iterator[int]:
    context = _call(_FSOPEN, fstype.encode(), _CLOEXEC)
    try:
        _call(_FSCONFIG, context, _SET_FLAG, b"ro", None, 0)
        options = {"source": node, **_TOP_LEVEL.get(fstype, {})}
        for key, value in options.items():
            _call(_FSCONFIG, context, _SET_STRING, key.encode(), value.encode(), 0)
        _call(_FSCONFIG, context, _CREATE, None, None, 0)
        root = _call(_FSMOUNT, context, _CLOEXEC, _READ_ONLY_NOSUID_NODEV_NOEXEC)
    finally:
        os.close(context)
    try:
        yield root
    finally:
        os.close(root)


def _call(number: int, *arguments: bytes | int | None) -> int:
    """Each argument as wide as a register: what ctypes takes an int for is narrower."""
    words = [
        ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments
    ]
    answer: int = _libc().syscall(ctypes.c_long(number), *words)
    if answer < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return answer


@lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL:
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    return library
