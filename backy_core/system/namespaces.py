"""Mounts in the mount namespaces of other processes, and whether an unmount here reaches them."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from backy_core.system.absence import suppress_gone
from backy_core.system.mountinfo import MountEntry, MountTree, read_mounts
from backy_core.system.sysfs import names_in


def pids() -> tuple[int, ...]:
    """Every process there is."""
    return tuple(int(name) for name in names_in(Path("/proc")) if name.isdecimal())


def namespace_of(pid: int | str) -> str | None:
    """The mount namespace of a process; None if it is gone."""
    path = Path(f"/proc/{pid}/ns/mnt")
    with suppress_gone(path):
        return str(path.readlink())
    return None


def read_namespaces() -> dict[str, tuple[MountEntry, ...]]:
    """The mounts of every other mount namespace that a process lives in."""
    own = namespace_of("self")
    by_namespace: dict[str, tuple[MountEntry, ...]] = {}
    for pid in pids():
        namespace = namespace_of(pid)
        if namespace not in (None, own) and not by_namespace.get(namespace):
            by_namespace[namespace] = read_mounts(pid)
    return by_namespace


class Reach:
    """The mounts that disappear when ``leaving`` are unmounted.

    The kernel unmounts a copy along if the mount it lies on receives what happens on the one that
    ours lies on, and if nothing is mounted on the copy. How the copy itself is shared plays no
    part; see ``mount_namespaces(7)``.
    """

    def __init__(
        self,
        ours: Sequence[MountEntry],
        leaving: Sequence[MountEntry],
        other_namespaces: Mapping[str, Sequence[MountEntry]],
    ) -> None:
        tree = MountTree(ours)
        self._sources: set[tuple[str, str]] = set()
        for entry in leaving:
            parent = tree.parent(entry)
            if parent is not None:
                place = _place(entry, parent)
                self._sources.update((group, place) for group in parent.shared)
        self._masters: dict[str, set[str]] = defaultdict(set)
        for mounts in (ours, *other_namespaces.values()):
            for entry in mounts:
                for group in entry.shared:
                    self._masters[group] |= entry.masters

    def stays(self, entry: MountEntry, mounts: Sequence[MountEntry]) -> bool:
        """Whether ``entry``, one of ``mounts`` of a namespace, is left when ours are gone."""
        parent = MountTree(mounts).parent(entry)
        if parent is None or any(mount.parent == entry.id for mount in mounts):
            return True
        place = _place(entry, parent)
        groups = self._upwards(parent.shared | parent.masters)
        return all((group, place) not in self._sources for group in groups)

    def _upwards(self, groups: frozenset[str]) -> set[str]:
        """These peer groups and all that they receive from."""
        reached: set[str] = set()
        pending = list(groups)
        while pending:
            group = pending.pop()
            if group not in reached:
                reached.add(group)
                pending += self._masters.get(group, ())
        return reached


def _place(entry: MountEntry, parent: MountEntry) -> str:
    """The mount point's path in the parent's filesystem."""
    return posixpath.join(parent.root, posixpath.relpath(entry.path, parent.path))
