"""Erase a device's signatures until a fresh probe finds none.

The device is held exclusively from before the first probe until after the last write, so it cannot
be mounted or assembled meanwhile. The head and tail of the device and of its partitions are erased
too: old metadata there (md 1.0, GPT backups, ZFS labels) survives a plain ``wipefs``.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import time
from collections.abc import Callable
from functools import partial

from backy_core.sdk.errors import SystemFailure
from backy_core.system.blocks import exclusively, kernel_name, partitions
from backy_core.system.exec import run
from backy_core.system.probing import probe
from backy_core.system.threads import to_the_end

MARGIN = 4 << 20
"""Bytes zeroed at either end."""
_PASSES = 5
_SHOWN = 8
"""Lines of wipefs that go into the outputs."""
_REREAD_DEADLINE_S = 10.0
_BLKRRPART = 0x125F
"""From linux/fs.h: read the partition table again."""

Log = Callable[[str], None]


async def wipe_device(node: str, *, log: Log) -> None:
    """Erase every signature on ``node``, a disk with its partitions or a pool's device.

    The caller has checked that it may. ``log`` gets the output lines. Raises
    :class:`DriveInUse` if anything holds the device, :class:`SystemFailure` if it does not end
    up blank.
    """
    name = kernel_name(node)
    async with exclusively(node, write=True) as descriptor:
        for part in partitions(name):
            await _erase_signatures(f"/dev/{part}", log)
            await _until_blank(f"/dev/{part}", log)
            await _zero_ends_of(f"/dev/{part}")
        await _erase_signatures(node, log)
        await _zero_ends(descriptor)
        await _until_blank(node, log)
        await _reread_partitions(descriptor, name)
    if left := partitions(name):
        raise SystemFailure(f"{node} still has partitions after it was wiped: {', '.join(left)}")


async def _erase_signatures(node: str, log: Log) -> None:
    """``--force``: wipefs would open the device exclusively, which this process does already."""
    brief = _Brief(log)
    await run(["wipefs", "--all", "--force", "--", node], on_line=brief.line)
    brief.end()


class _Brief:
    """The first lines and a count of the others: a member of a zpool has hundreds of signatures."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._seen = 0

    def line(self, text: str) -> None:
        self._seen += 1
        if self._seen <= _SHOWN:
            self._log(text)

    def end(self) -> None:
        if self._seen > _SHOWN:
            self._log(f"# and {self._seen - _SHOWN} lines more")


async def _until_blank(node: str, log: Log) -> None:
    """One pass does not always find everything: one signature may hide another."""
    for _ in range(_PASSES):
        probed = await probe([node])
        if not any(probed.values()):
            return
        await _erase_signatures(node, log)
    raise SystemFailure(f"{node} still bears signatures after it was wiped {_PASSES} times")


async def _zero_ends_of(part: str) -> None:
    """Zero a partition's ends. A new partition at the same place would show their old content: ZFS
    treats one with the label of a pool in use as a member, although wipefs finds nothing."""
    descriptor = os.open(part, os.O_WRONLY | os.O_CLOEXEC)  # the whole disk is held exclusively
    try:
        await _zero_ends(descriptor)
    finally:
        os.close(descriptor)


async def _zero_ends(descriptor: int) -> None:
    """The descriptor must outlive the thread that writes."""
    await to_the_end(partial(zero_ends, descriptor), "zero the ends")


def zero_ends(descriptor: int, margin: int = MARGIN) -> None:
    """Write zeroes over the first and last ``margin`` bytes, durably."""
    size = os.lseek(descriptor, 0, os.SEEK_END)
    zeroes = bytes(min(margin, size))
    for start in sorted({0, max(0, size - len(zeroes))}):
        _write_at(descriptor, zeroes, start)
    os.fsync(descriptor)


def _write_at(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


async def _reread_partitions(descriptor: int, name: str) -> None:
    """EBUSY while udev still looks at a partition; EINVAL from devices that have no table."""
    deadline = time.monotonic() + _REREAD_DEADLINE_S
    while partitions(name):
        try:
            await to_the_end(partial(fcntl.ioctl, descriptor, _BLKRRPART), f"read {name} again")
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() >= deadline:
                raise SystemFailure(
                    f"The partition table of {name} could not be read again", details=str(error)
                ) from error
        if time.monotonic() >= deadline:
            return  # a table that is not on the disk (the kernel's command line) stays
        await asyncio.sleep(0.1)
