"""``/proc/swaps``: devices and files that the kernel swaps to."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from backy_core.system.absence import suppress_gone
from backy_core.system.mountinfo import unescape

_SWAPS = Path("/proc/swaps")


class Swap(NamedTuple):
    """``device``: kernel name of a device that is swapped to. ``filesystem``: device number of
    the filesystem a swap file lies on. Both None if the path leads nowhere any more."""

    path: str
    is_file: bool
    device: str | None = None
    filesystem: int | None = None


def read_swaps() -> tuple[Swap, ...]:
    """Raises :class:`LookFailed` if they cannot be read."""
    text = b""
    with suppress_gone(_SWAPS):  # a kernel without swap has no such file
        text = _SWAPS.read_bytes()
    lines = (line.split() for line in text.split(b"\n")[1:])
    return tuple(_swap(unescape(fields[0]), fields[1] == b"file") for fields in lines if fields)


def _swap(path: str, is_file: bool) -> Swap:
    with suppress_gone(path):
        status = Path(path).stat()
        if stat.S_ISBLK(status.st_mode):
            return Swap(path, is_file, device=_name_of(status.st_rdev))
        return Swap(path, is_file, filesystem=status.st_dev)
    return Swap(path, is_file)


def _name_of(number: int) -> str | None:
    link = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    with suppress_gone(link):
        return link.readlink().name
    return None
