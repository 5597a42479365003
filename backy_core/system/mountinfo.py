"""``/proc/PID/mountinfo`` as frozen data; see proc(5). Reading it starts no process."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from backy_core.system.absence import look_failed, suppress_gone

_NO_NAMESPACE = frozenset({errno.EINVAL})
"""A zombie has given its mount namespace back."""
_OWN = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(rb"\\([0-7]{3})")
_LEAST_FIELDS = 6
_GAVE_UP = frozenset({"emergency_ro", "shutdown"})


class MountEntry(NamedTuple):
    """One mount. ``majmin`` is the filesystem's device (``9:127``); btrfs and other
    many-device filesystems have an anonymous one (``0:42``), so ``source`` counts there."""

    majmin: str
    root: str
    path: str
    options: frozenset[str]
    fstype: str
    source: str
    id: int = 0
    parent: int = 0
    """The ``id`` of the mount it lies on; of the topmost ones that of a mount not shown."""
    shared: frozenset[str] = frozenset()
    """Its peer group (``12``), if it is shared."""
    masters: frozenset[str] = frozenset()
    """Peer groups it is a slave of."""
    super_options: frozenset[str] = frozenset()
    """Those of the filesystem itself. ``options`` has them and those of this mount."""

    @property
    def read_only(self) -> bool:
        return "ro" in self.options

    @property
    def gave_up(self) -> bool:
        """The filesystem made itself read-only: the mount was, and still is, one for writing.

        A person's ``mount -o remount,ro`` changes both. Newer kernels name it instead.
        """
        remounted = "ro" in self.super_options and "rw" in self.options
        return remounted or not self.super_options.isdisjoint(_GAVE_UP)


def read_mounts(pid: int | str = "self") -> tuple[MountEntry, ...]:
    """The mounts a process sees, oldest first; empty if the process is gone.

    Raises :class:`LookFailed` if they cannot be read, as for this process if /proc is missing.
    """
    if pid == "self":
        return parse_mountinfo(read_own())
    path = Path(f"/proc/{pid}/mountinfo")
    with suppress_gone(path, _NO_NAMESPACE):
        return parse_mountinfo(path.read_bytes())
    return ()


def read_own() -> bytes:
    """This process's mounts as the kernel writes them. Raises :class:`LookFailed`."""
    try:
        return _OWN.read_bytes()
    except OSError as error:
        raise look_failed(_OWN, error) from error


def parse_mountinfo(text: bytes) -> tuple[MountEntry, ...]:
    """Lines that are none are left out: a mount source may hold any byte."""
    entries = (_parse_line(line) for line in text.split(b"\n"))
    return tuple(entry for entry in entries if entry is not None)


def unescape(field: bytes) -> str:
    """The kernel writes space, tab, newline and backslash as three octal digits."""
    plain = _ESCAPED.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), field)
    return os.fsdecode(plain)


def _parse_line(line: bytes) -> MountEntry | None:
    before, separator, after = line.partition(b" - ")
    fields, rest = before.split(b" "), after.split(b" ")
    if not separator or len(fields) < _LEAST_FIELDS or len(rest) < 2:
        return None
    super_options = _options(rest[2]) if len(rest) > 2 else frozenset()
    return MountEntry(
        majmin=unescape(fields[2]),
        root=unescape(fields[3]),
        path=unescape(fields[4]),
        options=_options(fields[5]) | super_options,
        fstype=unescape(rest[0]),
        source=unescape(rest[1]),
        id=_number(fields[0]),
        parent=_number(fields[1]),
        shared=_tagged(fields[6:], b"shared:"),
        masters=_tagged(fields[6:], b"master:") | _tagged(fields[6:], b"propagate_from:"),
        super_options=super_options,
    )


def _options(field: bytes) -> frozenset[str]:
    return frozenset(unescape(option) for option in field.split(b",") if option)


def _number(field: bytes) -> int:
    return int(field) if field.isdigit() else 0


def _tagged(fields: Sequence[bytes], tag: bytes) -> frozenset[str]:
    return frozenset(os.fsdecode(field[len(tag) :]) for field in fields if field.startswith(tag))


def mount_at(mounts: Sequence[MountEntry], path: str | Path) -> MountEntry | None:
    """The topmost mount exactly at ``path``: the last one there hides the others."""
    normal_path = os.path.normpath(path)
    return next((entry for entry in reversed(mounts) if entry.path == normal_path), None)


class MountTree:
    """Resolves a path to its mount, and tells which mounts hide others.

    Follows a path as the kernel does: from mount to mount, the one on top at each place. A mount
    whose own path leads elsewhere is covered: by one stacked on it, or on a directory above it.
    """

    def __init__(self, mounts: Sequence[MountEntry]) -> None:
        self._by_id = {entry.id: entry for entry in mounts if entry.id}
        self._on = {
            (entry.parent if entry.parent in self._by_id else 0, entry.path): entry
            for entry in mounts
        }

    def parent(self, entry: MountEntry) -> MountEntry | None:
        return self._by_id.get(entry.parent)

    def at(self, path: str) -> MountEntry | None:
        """The mount that begins at ``path`` and that the path leads to."""
        way = self._way(path)
        return way[-1] if way and way[-1].path == path else None

    def covers(self, entry: MountEntry) -> MountEntry | None:
        """The mount that hides ``entry``; None if its path leads to it."""
        below = {entry.id}
        above = self.parent(entry)
        while above is not None and above.id not in below:
            below.add(above.id)
            above = self.parent(above)
        way = self._way(entry.path)
        if way and way[-1] == entry:
            return None
        return next((mount for mount in way if mount.id not in below or not mount.id), None)

    def _way(self, path: str) -> list[MountEntry]:
        """The mounts a path leads through."""
        way: list[MountEntry] = []
        for place in _places(path):
            while (entry := self._on.get((way[-1].id if way else 0, place))) is not None:
                if entry in way:
                    break
                way.append(entry)
        return way


def _places(path: str) -> Iterator[str]:
    """``/``, ``/mnt`` and ``/mnt/data`` of ``/mnt/data``."""
    yield "/"
    names = [name for name in path.split("/") if name]
    for count in range(1, len(names) + 1):
        yield "/" + "/".join(names[:count])
