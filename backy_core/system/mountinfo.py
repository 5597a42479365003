"""``/proc/PID/mountinfo`` as frozen data; see proc(5). Reading it starts no process."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_ESCAPED = re.compile(rb"\\([0-7]{3})")
_LEAST_FIELDS = 6


class MountEntry(NamedTuple):
    """One mount. ``majmin`` is the filesystem's device (``9:127``); btrfs and other
    many-device filesystems have an anonymous one (``0:42``), so ``source`` counts there."""

    majmin: str
    root: str
    path: str
    options: frozenset[str]
    fstype: str
    source: str
    propagates: bool = False
    """An unmount elsewhere reaches this one, or this one's others: it is shared or a slave."""


def read_mounts(pid: int | str = "self") -> tuple[MountEntry, ...]:
    """The mounts a process sees, oldest first; empty if the process is gone."""
    return parse_mountinfo(read_bytes(Path(f"/proc/{pid}/mountinfo")))


def read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def parse_mountinfo(text: bytes) -> tuple[MountEntry, ...]:
    """Lines that are none are left out: a mount source may hold any byte."""
    entries = (_parse_line(line) for line in text.split(b"\n"))
    return tuple(entry for entry in entries if entry is not None)


def unescape(field: bytes) -> str:
    """The kernel writes space, tab, newline and backslash as three octal digits."""
    plain = _ESCAPED.sub(lambda found: bytes([int(found[1], 8) & 0xFF]), field)
    return os.fsdecode(plain)


def _parse_line(line: bytes) -> MountEntry | None:
    before, separator, after = line.partition(b" - ")
    fields, rest = before.split(b" "), after.split(b" ")
    if not separator or len(fields) < _LEAST_FIELDS or len(rest) < 2:
        return None
    super_options = rest[2] if len(rest) > 2 else b""
    options = (*fields[5].split(b","), *super_options.split(b","))
    return MountEntry(
        majmin=unescape(fields[2]),
        root=unescape(fields[3]),
        path=unescape(fields[4]),
        options=frozenset(unescape(option) for option in options if option),
        fstype=unescape(rest[0]),
        source=unescape(rest[1]),
        propagates=any(tag.startswith((b"shared:", b"master:")) for tag in fields[6:]),
    )


def mount_at(mounts: Sequence[MountEntry], path: str | Path) -> MountEntry | None:
    """The topmost mount exactly at ``path``: the last one there hides the others."""
    wanted = os.path.normpath(path)
    return next((entry for entry in reversed(mounts) if entry.path == wanted), None)


def mounts_of(mounts: Sequence[MountEntry], majmin: str) -> tuple[MountEntry, ...]:
    """Every mount of the filesystem on this device, bind mounts included."""
    return tuple(entry for entry in mounts if entry.majmin == majmin)
