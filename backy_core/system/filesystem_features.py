"""Find features of a filesystem that the oldest supported system cannot open.

Reads only the feature words of the superblock that the kernel reads, at most 4 KiB. The superblock
is not trusted: the result is always a list of at most 64 bits for each word. "Compatible" features
are ignored, because they never keep a kernel from mounting.

``known`` are the bits that Linux 6.1 (Debian 12) mounts for writing; a feature beyond has its name,
the first Linux that mounts it and, where it differs, the first tools that check it. Sources:
the ``*_INCOMPAT_SUPP`` and ``*_RO_COMPAT_SUPP`` masks of fs/ext4/ext4.h, fs/xfs/libxfs/xfs_format.h
and fs/btrfs/fs.h in Linux 6.1, 6.12 and 7.2; mkfs.btrfs -O list-all of btrfs-progs 7.3; the release
notes of xfsprogs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from backy_core.sdk.models import Requirement
from backy_core.system.raw_reads import read_at

_LENGTH = 4096


class _Word(NamedTuple):
    """A word of feature bits at ``offset`` in the superblock."""

    name: str
    offset: int
    size: int
    known: int
    newer: Mapping[int, Requirement] = {}


class _Layout(NamedTuple):
    """The position of a filesystem's superblock, and of the words in it."""

    start: int
    magic_offset: int
    magic: bytes
    order: Literal["little", "big"]
    words: tuple[_Word, ...]


def _xfs(feature: str, version: str) -> Requirement:
    """xfsprogs has the version of the kernel whose features it knows."""
    return Requirement(
        feature=f"XFS {feature}", kernel=version, tool="xfsprogs", tool_version=version
    )


_LAYOUTS = {
    "ext4": _Layout(
        start=1024,
        magic_offset=0x38,
        magic=b"\x53\xef",
        order="little",
        words=(
            # Nothing was added to either since 6.1. 0x1 (compression) and 0x1000 (dirdata) were
            # never in Linux.
            _Word("incompat", 0x60, 4, 0x3E7D6),
            _Word("ro_compat", 0x64, 4, 0x1B77F),
        ),
    ),
    "xfs": _Layout(
        start=0,
        magic_offset=0,
        magic=b"XFSB",
        order="big",
        words=(
            _Word("ro_compat", 212, 4, 0xF),
            _Word(
                "incompat",
                216,
                4,
                0x3F,
                {
                    6: _xfs("exchange range", "6.10"),
                    7: _xfs("parent pointers", "6.10"),
                    8: _xfs("metadata directories", "6.13"),
                    9: _xfs("zoned allocation", "6.15"),
                    10: _xfs("zone gaps", "6.15"),
                },
            ),
        ),
    ),
    "btrfs": _Layout(
        start=1 << 16,
        magic_offset=0x40,
        magic=b"_BHRfS_M",
        order="little",
        words=(
            _Word("ro_compat", 0xB4, 8, 0xF),
            _Word(
                "incompat",
                0xBC,
                8,
                0x1FFF,
                {
                    14: Requirement(feature="btrfs raid stripe tree", kernel="6.7"),
                    16: Requirement(
                        feature="btrfs simple quotas",
                        kernel="6.7",
                        tool="btrfs-progs",
                        tool_version="6.7",
                    ),
                },
            ),
        ),
    ),
}
_XFS_VERSION_OFFSET, _XFS_WITH_FEATURES = 100, 5


def read(node: str, filesystem: str) -> tuple[Requirement, ...] | None:
    """Features of the filesystem on ``node`` that Linux 6.1 lacks; None: nothing can be said, for
    it is another filesystem or one that this module does not know.

    Blocks for as long as the device does. Raises OSError.
    """
    layout = _LAYOUTS.get(filesystem)
    if layout is None:
        return None
    return parse(read_at(node, layout.start, _LENGTH), filesystem)


def parse(superblock: bytes, filesystem: str) -> tuple[Requirement, ...] | None:
    """As :func:`read`, of a superblock's first bytes."""
    layout = _LAYOUTS[filesystem]
    end = layout.magic_offset + len(layout.magic)
    needed = max(end, *(word.offset + word.size for word in layout.words))
    if len(superblock) < needed or superblock[layout.magic_offset : end] != layout.magic:
        return None
    if filesystem == "xfs" and not _has_words(superblock):
        return ()
    return tuple(
        requirement for word in layout.words for requirement in _beyond(word, superblock, layout)
    )


def _has_words(superblock: bytes) -> bool:
    """XFS before version 5 has other things there."""
    (version,) = superblock[_XFS_VERSION_OFFSET + 1 : _XFS_VERSION_OFFSET + 2]
    return version & 0xF >= _XFS_WITH_FEATURES


def _beyond(word: _Word, superblock: bytes, layout: _Layout) -> Iterator[Requirement]:
    raw = superblock[word.offset : word.offset + word.size]
    bits = int.from_bytes(raw, layout.order) & ~word.known
    named = [bit for bit in word.newer if bits >> bit & 1]
    yield from (word.newer[bit] for bit in named)
    unknown = bits & ~sum(1 << bit for bit in named)
    if unknown:
        yield Requirement(feature=f"an unknown feature ({word.name} {unknown:#x})")
