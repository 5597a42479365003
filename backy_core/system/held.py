"""By what file a process holds a filesystem."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from backy_core.system.mountinfo import mounts_of, read_mounts

_LINKS = ("cwd", "root", "exe")
_MAPS_FIELDS = 6


def pids() -> tuple[int, ...]:
    """Every process there is."""
    names = (entry.name for entry in Path("/proc").iterdir())
    return tuple(sorted(int(name) for name in names if name.isdecimal()))


class HeldBy:
    """Searches processes for files on one filesystem.

    ``many_trees``: files of btrfs answer stat(2) with a number of their subvolume, other than
    the one in mountinfo, so they are known by their path as well.
    """

    def __init__(self, mount_path: str, majmin: str, *, many_trees: bool = False) -> None:
        self._mount_path = mount_path
        self._majmin = majmin
        major, _, minor = majmin.partition(":")
        self._devices = {os.makedev(int(major), int(minor))}
        self._shown = f"{int(major):02x}:{int(minor):02x}"
        self._prefix = mount_path.rstrip("/") + "/" if many_trees else None
        self._own_namespace = _namespace("self")
        self._namespaces: dict[str | None, bool] = {None: False, self._own_namespace: False}
        if many_trees:
            with suppress(OSError):
                self._devices.add(Path(mount_path).stat().st_dev)

    def path_held_by(self, pid: int) -> str | None:
        """One path by which the process holds the filesystem; None if it does not."""
        directory = f"/proc/{pid}"
        links = (f"{directory}/{name}" for name in _LINKS)
        for found in (self._linked(links, pid), self._linked(_descriptors(directory), pid)):
            if found is not None:
                return found
        return self._mapped(directory) or self._kept_mounted(pid)

    def _linked(self, links: Iterator[str], pid: int) -> str | None:
        for link in links:
            with suppress(OSError):
                if os.stat(link).st_dev in self._devices or self._below(link, pid):  # noqa: PTH116
                    return os.readlink(link)  # noqa: PTH115
        return None

    def _below(self, link: str, pid: int) -> bool:
        if self._prefix is None or _namespace(pid) != self._own_namespace:
            return False
        return f"{os.readlink(link)}/".startswith(self._prefix)  # noqa: PTH115

    def _mapped(self, directory: str) -> str | None:
        """``maps`` lines: range, rights, offset, device in hex, inode, path."""
        for line in _lines(Path(directory) / "maps"):
            fields = line.split(maxsplit=_MAPS_FIELDS - 1)
            if len(fields) == _MAPS_FIELDS and fields[3] == self._shown and fields[4] != "0":
                return fields[5]
        return None

    def _kept_mounted(self, pid: int) -> str | None:
        """A mount namespace with a copy that no unmount of ours reaches.

        Copies that are shared or slaves (those of systemd's own services) go with ours.
        """
        namespace = _namespace(pid)
        if namespace not in self._namespaces:
            copies = mounts_of(read_mounts(pid), self._majmin)
            self._namespaces[namespace] = any(not copy.propagates for copy in copies)
        held = self._namespaces[namespace]
        return f"{self._mount_path} (in a mount namespace of its own)" if held else None


def _descriptors(directory: str) -> Iterator[str]:
    with suppress(OSError):
        for entry in Path(f"{directory}/fd").iterdir():
            yield str(entry)


def _lines(path: Path) -> Iterator[str]:
    with suppress(OSError), path.open(encoding="utf-8", errors="replace") as file:
        yield from file


def _namespace(pid: int | str) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/ns/mnt").readlink())
    except OSError:
        return None
