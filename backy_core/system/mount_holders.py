"""Everything that keeps a filesystem from being unmounted and its device from being stopped.

Processes in any mount namespace, mounts inside it and elsewhere, and what the kernel itself keeps
a file of: loop devices, swap, NFS exports. Reading needs root and starts no process.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from backy_core.system import blocks, procs
from backy_core.system.absence import LookFailed, suppress_gone
from backy_core.system.loops import numbers_of
from backy_core.system.mountinfo import MountEntry, MountTree, mount_at, read_mounts, unescape
from backy_core.system.namespaces import Reach, read_namespaces
from backy_core.system.process_holders import HeldBy
from backy_core.system.procs import ProcessInfo
from backy_core.system.swap import read_swaps
from backy_core.system.sysfs import names_in, read_attribute
from backy_core.system.threads import apart, in_thread

_EXPORTS = (Path("/proc/fs/nfsd/exports"), Path("/proc/fs/nfs/exports"))
_DEADLINE_S = 20.0
_MANY_TREES = ("btrfs",)
"""Their files answer stat(2) with other device numbers than the one in mountinfo."""


class Filesystem(NamedTuple):
    """A filesystem to unmount, with the devices to stop.

    ``mounts``: its own, which the unmount removes. ``numbers`` and ``sources``: its device
    numbers and sources, as mountinfo has them. ``devices``: kernel names of the devices that are
    to be stopped. ``dataset``: its name, of a filesystem that may have child datasets.
    """

    mounts: tuple[MountEntry, ...]
    numbers: frozenset[str]
    devices: tuple[str, ...] = ()
    sources: frozenset[str] = frozenset()
    dataset: str | None = None
    sequences: Mapping[str, int | None] = MappingProxyType({})
    """The kernel's sequence number of each device: tells it from a later one of the same name."""

    def has(self, mount: MountEntry) -> bool:
        """Whether it is one of this filesystem, in whatever namespace."""
        return mount.majmin in self.numbers or mount.source in self.sources

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(entry.path for entry in self.mounts))


class Holder(NamedTuple):
    """``what``: a clause for people. ``release``: the command that lets go, if there is one.

    ``passing``: it may be gone in a moment, as udev that looks at a device.
    """

    what: str
    release: str | None = None
    process: ProcessInfo | None = None
    passing: bool = False


async def find_holders(filesystem: Filesystem) -> tuple[Holder, ...]:
    """All of them, processes first. This process is never among them.

    Raises :class:`LookFailed` if it cannot look, as without file descriptors.
    """
    name = f"holders of {sorted(filesystem.numbers)} {sorted(filesystem.sources)}"
    try:
        return await in_thread(partial(_find, filesystem), name, _DEADLINE_S)
    except TimeoutError as error:
        raise LookFailed(
            "What holds the filesystem cannot be read",
            details=f"The processes do not answer within {_DEADLINE_S:g} s",
        ) from error


async def processes_on(path: str) -> tuple[ProcessInfo, ...]:
    """The processes that hold the filesystem mounted at ``path``, each once; none if there is
    none."""
    mounts = await apart(read_mounts, "mounts")
    at = mount_at(mounts, path)
    if at is None:
        return ()
    own = tuple(mount for mount in mounts if mount.majmin == at.majmin)
    holders = await find_holders(Filesystem(own, frozenset((at.majmin,))))
    return tuple(holder.process for holder in holders if holder.process is not None)


def _find(filesystem: Filesystem) -> tuple[Holder, ...]:
    mounts = read_mounts()
    other_namespaces = read_namespaces()
    reach = Reach(mounts, filesystem.mounts, other_namespaces)
    return (
        *_processes(filesystem, _keeping(filesystem, other_namespaces, reach)),
        *_mounts(filesystem, mounts, reach),
        *_loops(filesystem),
        *_swaps(filesystem),
        *_exports(filesystem),
        *_devices(filesystem),
    )


def _keeping(
    filesystem: Filesystem, other_namespaces: Mapping[str, Sequence[MountEntry]], reach: Reach
) -> dict[str, str]:
    """The namespaces that keep a copy of the filesystem, and where it is mounted there."""
    found: dict[str, str] = {}
    for namespace, mounts in other_namespaces.items():
        copies = [mount for mount in mounts if filesystem.has(mount)]
        for copy in copies:
            if namespace not in found and reach.stays(copy, mounts):
                found[namespace] = copy.path
    return found


def _processes(filesystem: Filesystem, keeping: Mapping[str, str]) -> Iterator[Holder]:
    nodes = [number for name in filesystem.devices if (number := _number_of(name))]
    if not (nodes or keeping or filesystem.numbers):
        return
    many_trees = any(entry.fstype in _MANY_TREES for entry in filesystem.mounts)
    search = HeldBy(
        filesystem.numbers,
        nodes=nodes,
        paths=filesystem.paths,
        many_trees=many_trees,
        keeping=keeping,
    )
    for process, hold in procs.holding(search):
        holder_text = f"{process.name} (pid {process.pid}) holds {process.path}"
        yield Holder(holder_text, process=process, passing=hold.of_device)


def _mounts(filesystem: Filesystem, mounts: Sequence[MountEntry], reach: Reach) -> Iterator[Holder]:
    own = {entry.id: entry for entry in filesystem.mounts}
    tree = MountTree(mounts)
    for entry in mounts:
        if entry.id in own:
            continue
        release = f"umount {shlex.quote(entry.path)}"
        if _is_child(entry.source, filesystem.dataset):
            yield Holder(f"its dataset {entry.source} is mounted at {entry.path}", release)
        elif entry.parent in own:
            where = "over it" if entry.path in filesystem.paths else "inside it"
            yield Holder(f"{entry.source} is mounted {where} at {entry.path}", release)
        elif filesystem.has(entry) and reach.stays(entry, mounts):
            yield Holder(f"it is mounted at {entry.path} as well", release)
    for entry in own.values():
        cover = tree.covers(entry)
        # What lies right on it was named above.
        if cover is not None and cover.id not in own and cover.parent not in own:
            release = f"umount {shlex.quote(cover.path)}"
            holder_text = f"{cover.source} is mounted at {cover.path} and covers {entry.path}"
            yield Holder(holder_text, release)


def _is_child(source: str, dataset: str | None) -> bool:
    return dataset is not None and source.startswith((f"{dataset}/", f"{dataset}@"))


def _loops(filesystem: Filesystem) -> Iterator[Holder]:
    for name in names_in(Path("/sys/block")):
        text = read_attribute(Path("/sys/block", name, "loop/backing_file"))
        numbers = numbers_of(name) if text is not None else None
        if text is not None and _lies_on(filesystem, text.strip(), numbers and numbers[0]):
            yield Holder(f"loop device /dev/{name} uses {text.strip()}", f"losetup -d /dev/{name}")


def _swaps(filesystem: Filesystem) -> Iterator[Holder]:
    for swap in read_swaps():
        if swap.is_file and _lies_on(filesystem, swap.path, swap.filesystem):
            release = f"swapoff {shlex.quote(swap.path)}"
            yield Holder(f"swap file {swap.path} is in use", release)
        elif not swap.is_file and swap.device in filesystem.devices:
            yield Holder(f"{swap.path} is used as swap", f"swapoff {shlex.quote(swap.path)}")


def _exports(filesystem: Filesystem) -> Iterator[Holder]:
    """Exports of the kernel's NFS server, from its ``path client(options)`` lines."""
    for file in _EXPORTS:
        with suppress_gone(file):
            for line in file.read_bytes().splitlines():
                path, _, client = line.partition(b"\t")
                if path.startswith(b"/") and _below(filesystem, unescape(path)):
                    to = os.fsdecode(client).partition("(")[0].strip()
                    shown = shlex.quote(f"{to}:{unescape(path)}")
                    yield Holder(f"{unescape(path)} is exported by NFS", f"exportfs -u {shown}")
            return


def _devices(filesystem: Filesystem) -> Iterator[Holder]:
    for name in filesystem.devices:
        for holder in blocks.holders(name):
            yield Holder(f"device /dev/{holder} is built on its device /dev/{name}")


def _lies_on(filesystem: Filesystem, path: str, number: int | None) -> bool:
    """``number``: of the filesystem that the file lies on, if the kernel tells."""
    shown = None if number is None else f"{os.major(number)}:{os.minor(number)}"
    return shown in filesystem.numbers or _below(filesystem, path)


def _below(filesystem: Filesystem, path: str) -> bool:
    return any(path == listed or path.startswith(listed + "/") for listed in filesystem.paths)


def _number_of(name: str) -> str | None:
    text = read_attribute(Path("/sys/class/block", name, "dev"))
    return text.strip() if text else None
