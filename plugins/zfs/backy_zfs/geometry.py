"""Requirements on a drive that joins a zpool, by the pool's labels. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from backy_zfs.labels import Label

_LABEL = 256 << 10
_LABELS = (4 << 20) + 2 * _LABEL
"""Two labels and the boot block in front, two labels at the end; all else can be allocated."""
_MIB = 1 << 20
_TABLE = (2048 + (16 << 10) + 33) * 512
"""What OpenZFS leaves around its partition, whose size is a whole number of MiB, with sectors of
512 bytes. Larger sectors take more: then the tool decides."""
_ALIKE = ("mirror", "disk", "file", "replacing", "spare")
"""Each child is as large as the vdev."""
_MOST_SHIFT = 63


def member_size(labels: Sequence[Label]) -> int | None:
    """Bytes that a drive has at least that ``zpool replace`` takes for any member; None unless
    the labels tell of every top-level vdev."""
    tops = _tops(labels)
    least = [_least(label) for label in tops.values()]
    known_sizes = [size for size in least if size is not None]
    complete = bool(tops) and len(known_sizes) == max(label.tops for label in tops.values())
    return min(known_sizes) if complete else None


def sector_size(labels: Sequence[Label]) -> int | None:
    """The largest logical sector that every top-level vdev which is known can hide."""
    shifts = [label.size.ashift for label in labels if label.size]
    return 1 << min(shifts) if shifts and 0 <= min(shifts) <= _MOST_SHIFT else None


def _tops(labels: Sequence[Label]) -> dict[int, Label]:
    """The newest label of each top-level vdev."""
    return {label.top_id: label for label in sorted(labels, key=lambda label: label.txg)}


def _least(label: Label) -> int | None:
    """By its vdev's size, of which the last metaslab that is not whole stays unused."""
    size = label.size
    if size is None or not 0 <= size.metaslab_shift <= _MOST_SHIFT:
        return None
    used = size.allocatable >> size.metaslab_shift << size.metaslab_shift
    if label.top_type.startswith("raidz"):
        used = -(-used // size.width)
    elif label.top_type not in _ALIKE:
        return None
    if size.partitioned:
        return _round_up(used + _LABELS, _MIB) + _TABLE
    return _round_up(used + _LABELS, _LABEL)


def _round_up(size: int, unit: int) -> int:
    return -(-size // unit) * unit
