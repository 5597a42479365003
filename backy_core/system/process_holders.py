"""By what file a process holds a filesystem."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from backy_core.system.absence import STARVED, look_failed, suppress_gone
from backy_core.system.namespaces import namespace_of
from backy_core.system.sysfs import names_in

_LINKS = ("cwd", "root", "exe")
_MAPS_FIELDS = 6


class Hold(NamedTuple):
    """``of_device``: the process has the device's node open, and no file of the filesystem."""

    path: str
    of_device: bool = False


class HeldBy:
    """Searches processes for files on one filesystem.

    Compared by device number, not by path: so deleted files and files reached by a bind mount are
    found too. ``numbers``: the filesystem's. ``nodes``: of devices whose nodes nobody may have
    open. ``paths``: where it is mounted. ``many_trees``: its files answer stat(2) with other
    numbers (btrfs: those of their subvolume); they are known by their path then, as are files of a
    filesystem that gave up and answers with an error. ``keeping``: mount namespaces that keep a
    copy, and where.
    """

    def __init__(
        self,
        numbers: Collection[str],
        *,
        nodes: Collection[str] = (),
        paths: Collection[str] = (),
        many_trees: bool = False,
        keeping: Mapping[str, str] | None = None,
    ) -> None:
        pairs = [_pair(number) for number in numbers]
        self._devices = {os.makedev(*pair) for pair in pairs}
        self._shown = {f"{major:02x}:{minor:02x}" for major, minor in pairs}
        self._nodes = {os.makedev(*_pair(number)) for number in nodes}
        self._prefixes = tuple(path.rstrip("/") + "/" for path in paths)
        self._own_namespace = namespace_of("self")
        self._many_trees = many_trees
        self._keeping = keeping or {}
        for path in paths if many_trees else ():
            with suppress_unanswered(path):
                self._devices.add(Path(path).stat().st_dev)

    def held_by(self, pid: int) -> Hold | None:
        """One file by which the process holds the filesystem; None if it does not."""
        directory = f"/proc/{pid}"
        links = (f"{directory}/{name}" for name in _LINKS)
        opened = [hold for link in descriptors_of(directory) if (hold := self._linked(link, pid))]
        for hold in (
            next((handle for link in links if (handle := self._linked(link, pid))), None),
            next((handle for handle in opened if not handle.of_device), None),
            self._mapped(directory),
            self._kept_mounted(pid),
            *opened,
        ):
            if hold is not None:
                return hold
        return None

    def _linked(self, link: str, pid: int) -> Hold | None:
        by_path = True
        with suppress_unanswered(link):
            status = os.stat(link)  # noqa: PTH116
            by_path = self._many_trees
            if status.st_dev in self._devices:
                return Hold(os.readlink(link))  # noqa: PTH115
            if stat.S_ISBLK(status.st_mode) and status.st_rdev in self._nodes:
                return Hold(os.readlink(link), of_device=True)  # noqa: PTH115
        return self._below(link, pid) if by_path else None

    def _below(self, link: str, pid: int) -> Hold | None:
        with suppress_unanswered(link):
            if self._prefixes and namespace_of(pid) == self._own_namespace:
                path = os.readlink(link)  # noqa: PTH115
                return Hold(path) if f"{path}/".startswith(self._prefixes) else None
        return None

    def _mapped(self, directory: str) -> Hold | None:
        """``maps`` lines: range, rights, offset, device in hex, inode, path."""
        for line in _lines(Path(directory) / "maps"):
            fields = line.split(maxsplit=_MAPS_FIELDS - 1)
            if len(fields) == _MAPS_FIELDS and fields[3] in self._shown and fields[4] != "0":
                return Hold(fields[5].rstrip("\n"))
        return None

    def _kept_mounted(self, pid: int) -> Hold | None:
        namespace = namespace_of(pid) if self._keeping else None
        path = self._keeping.get(namespace) if namespace else None
        return Hold(f"{path} (in a mount namespace of its own)") if path else None


def _pair(number: str) -> tuple[int, int]:
    major, _, minor = number.partition(":")
    return int(major), int(minor)


def descriptors_of(directory: str) -> Iterator[str]:
    """The links to a process's open files."""
    files = f"{directory}/fd"
    return (f"{files}/{name}" for name in names_in(Path(files)))


@contextmanager
def suppress_unanswered(subject: str) -> Iterator[None]:
    """Leave the block if ``what`` leads to nothing, or to a filesystem that answers with an error
    (a dead network mount, another user's FUSE): it is none of ours."""
    try:
        yield
    except OSError as error:
        if error.errno in STARVED:
            raise look_failed(subject, error) from error


def _lines(path: Path) -> Iterator[str]:
    with suppress_gone(path), path.open(encoding="utf-8", errors="replace") as file:
        yield from file
