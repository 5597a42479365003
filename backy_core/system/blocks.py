"""Block devices: what there is, what holds it, and opening it with care."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import time
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from backy_core.sdk.errors import DriveInUse, SystemFailure
from backy_core.system.absence import suppress_gone
from backy_core.system.block_devices import BlockDevice, assemble
from backy_core.system.loops import Backing, backing_of
from backy_core.system.mountinfo import MountEntry, read_mounts
from backy_core.system.swap import read_swaps
from backy_core.system.sysfs import (
    HOST,
    RawDevice,
    Roots,
    names_in,
    read_attribute,
    read_raw_devices,
)
from backy_core.system.threads import to_the_end

__all__ = [
    "BlockDevice",
    "boot_id",
    "disk_lock",
    "diskseq",
    "exclusively",
    "holders",
    "kernel_name",
    "node_exists",
    "open_exclusive",
    "partitions",
    "read_block_devices",
    "swaps",
]

_CLASS_BLOCK = Path("/sys/class/block")
_LOCK_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_NO_LINK = frozenset({errno.EINVAL})
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 0.5


def read_block_devices(roots: Roots = HOST) -> tuple[BlockDevice, ...]:
    """Read every block device once, in natural order, children nested in their parents."""
    raw, mounts = read_raw_devices(roots), read_mounts()
    return assemble(raw, links_by_device(roots), mounts, swaps(), _loops(raw, mounts))


def _loops(raw: Sequence[RawDevice], mounts: Sequence[MountEntry]) -> dict[str, Backing]:
    names = [device.name for device in raw if device.name.startswith("loop")]
    backings = {name: backing_of(name, mounts) for name in names}
    return {name: backing for name, backing in backings.items() if backing is not None}


def links_by_device(roots: Roots = HOST) -> dict[str, tuple[str, ...]]:
    """The ``/dev/disk/by-id`` names of each device, by its kernel name."""
    directory = roots.dev / "disk/by-id"
    links: dict[str, tuple[str, ...]] = {}
    for name in names_in(directory):
        with suppress_gone(directory / name, _NO_LINK):
            target = (directory / name).readlink().name
            links[target] = (*links.get(target, ()), name)
    return links


def kernel_name(node: str) -> str:
    """``sda`` for ``/dev/sda`` and for every link to it."""
    return Path(node).resolve().name


def node_exists(name: str) -> bool:
    """Whether devtmpfs has made the node of a device yet."""
    return Path("/dev", name).exists()


def holders(name: str) -> tuple[str, ...]:
    """Devices built on a device or its partitions (``md127``, ``dm-0``, ``loop0``)."""
    directory = _CLASS_BLOCK / name
    holder_names = set(names_in(directory / "holders"))
    for part in names_in(directory):
        if part.startswith(name):
            holder_names.update(names_in(directory / part / "holders"))
    return tuple(sorted((*holder_names, *_loops_over({name, *partitions(name)}))))


def _loops_over(names: Collection[str]) -> Iterator[str]:
    mounts = read_mounts()
    for loop in names_in(_CLASS_BLOCK):
        if loop.startswith("loop"):
            backing = backing_of(loop, mounts)
            if backing is not None and not backing.is_file and backing.device in names:
                yield loop


def partitions(name: str) -> tuple[str, ...]:
    """Kernel names of a disk's partitions."""
    directory = _CLASS_BLOCK / name
    inside = (part for part in names_in(directory) if part.startswith(name))
    return tuple(part for part in inside if read_attribute(directory / part / "partition"))


def diskseq(name: str) -> int | None:
    """The kernel's sequence number of the disk behind this name (Linux 5.15).

    It never comes twice in one boot: another number is another disk under the same name.
    """
    text = read_attribute(_CLASS_BLOCK / name / "diskseq")
    return int(text) if text and text.strip().isdecimal() else None


def swaps() -> frozenset[str]:
    """Kernel names of the devices swapped to. A swap file is a file like any other: it holds the
    filesystem it lies on."""
    return frozenset(swap.device for swap in read_swaps() if swap.device is not None)


def boot_id() -> str:
    """A new one at each boot of the kernel."""
    return (read_attribute(Path("/proc/sys/kernel/random/boot_id")) or "").strip()


@contextmanager
def open_exclusive(node: str, *, write: bool = False) -> Iterator[int]:
    """A descriptor nobody else can have: no mount, no holder, no swap, no other O_EXCL.

    Raises :class:`DriveInUse` on EBUSY, :class:`SystemFailure` otherwise.
    """
    mode = os.O_RDWR if write else os.O_RDONLY
    try:
        descriptor = os.open(node, mode | os.O_EXCL | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise DriveInUse(f"{node} is in use by the kernel or another program") from error
        raise SystemFailure(f"{node} cannot be opened", details=str(error)) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@asynccontextmanager
async def exclusively(node: str, *, write: bool = False) -> AsyncIterator[int]:
    """:func:`open_exclusive` off the event loop: open(2) waits for a disk that hangs."""
    async with _off_the_loop(open_exclusive(node, write=write), node) as descriptor:
        yield descriptor


@asynccontextmanager
async def _off_the_loop(opening: AbstractContextManager[int], node: str) -> AsyncIterator[int]:
    """Closed by whoever drops it last, also if it opens after its caller was cancelled."""
    descriptor = await to_the_end(opening.__enter__, f"open {node}")
    with ExitStack() as stack:
        stack.push(opening.__exit__)
        yield descriptor


@asynccontextmanager
async def disk_lock(node: str, timeout_s: float) -> AsyncIterator[None]:
    """Hold udev and other well-behaved programs off a whole disk.

    The lock is the one of systemd's block device locking: flock(2) on the disk's node. The
    descriptor is read-only and of its own, so that closing it announces no change. Raises
    :class:`DriveInUse` if another holds it for ``timeout_s``.
    """
    async with _off_the_loop(_open_for_lock(node), node) as descriptor:
        await _lock(descriptor, node, timeout_s)
        yield


@contextmanager
def _open_for_lock(node: str) -> Iterator[int]:
    try:
        descriptor = os.open(node, _LOCK_FLAGS)
    except OSError as error:
        raise SystemFailure(f"{node} cannot be opened", details=str(error)) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


async def _lock(descriptor: int, node: str, timeout_s: float) -> None:
    deadline, pause = time.monotonic() + timeout_s, _FIRST_PAUSE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise DriveInUse(f"{node} is locked by another program") from error
        else:
            return
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_S)
