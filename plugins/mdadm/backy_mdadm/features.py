"""Find features of an array that the oldest supported system, Debian 12, does not assemble.

Linux refuses a superblock of version 1 with a bit in its feature map, or a byte in its padding,
that it does not know. mdadm shows such a member as healthy, so the superblock itself is read.
Sources: ``struct mdp_superblock_1`` in include/uapi/linux/raid/md_p.h and super_1_load() of
drivers/md/md.c in Linux 6.1, 6.12 and 7.2.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from backy_core.sdk.models import Probe, Requirement, Signature
from backy_mdadm.parse import KernelArray

BLOCK_SIZE = Requirement(feature="md logical block size", kernel="6.19")
"""Linux 6.19 and newer record it in every array they make, and no option keeps them from it. An
array of an older kernel does not get it."""

UNWRITTEN = ("raid0", "linear")
"""Levels whose superblocks the kernel leaves as mdadm made them, without a block size."""

_LENGTH = 256
_MAGIC = (0xA92B4EFC).to_bytes(4, "little")
_KNOWN_MAP = 0x1FFF
_MAP, _SIZE, _PADDING = slice(8, 12), slice(224, 228), slice(228, 256)


async def required(
    probe: Probe, array: KernelArray | None, stamped: Sequence[Signature]
) -> tuple[Requirement, ...] | None:
    """Features of an array; None if nothing of it can be read. ``array``: the running array, if
    any. ``stamped``: its members' signatures."""
    if array is not None and array.running and not _must_be_read(array):
        return (BLOCK_SIZE,) if array.block_size and array.metadata.startswith("1.") else ()
    texts = await asyncio.gather(*(probe.superblock(stamp, _LENGTH) for stamp in stamped))
    superblocks = [superblock for text in texts if (superblock := parse(text or b"")) is not None]
    return _each_once(superblocks) if superblocks else None


def parse(superblock: bytes) -> tuple[Requirement, ...] | None:
    """Features in a superblock's first bytes; None for what is none that can be read."""
    if len(superblock) < _LENGTH or not superblock.startswith(_MAGIC):
        return None
    if superblock[4:8] != b"\1\0\0\0":  # version 0 has neither
        return ()
    unknown = int.from_bytes(superblock[_MAP], "little") & ~_KNOWN_MAP
    requirements = [BLOCK_SIZE] if any(superblock[_SIZE]) else []
    if unknown:
        requirements.append(Requirement(feature=f"an unknown md feature ({unknown:#x})"))
    if any(superblock[_PADDING]):
        requirements.append(Requirement(feature="an unknown field of the md superblock"))
    return tuple(requirements)


def _must_be_read(array: KernelArray) -> bool:
    """The kernel shows a block size for these whether or not it is on the drives."""
    return array.block_size is not None and array.level in UNWRITTEN


def _each_once(groups: Iterable[tuple[Requirement, ...]]) -> tuple[Requirement, ...]:
    return tuple(
        dict.fromkeys(requirement for requirements in groups for requirement in requirements)
    )
