"""The levels of LVM's volumes. Pure."""

from __future__ import annotations

from backy_core.sdk.models import Level

LEVELS = (
    Level(name="linear", min_drives=1, aliases=("single",)),
    Level(name="raid0", min_drives=2, aliases=("0", "stripe", "striped")),
    Level(name="raid1", min_drives=2, copies=None, aliases=("1", "mirror")),
    Level(name="raid5", min_drives=3, parity=1, aliases=("5",)),
    # LVM wants three stripes beside the two parities.
    Level(name="raid6", min_drives=5, parity=2, aliases=("6",)),
    Level(name="raid10", min_drives=4, copies=2, aliases=("10",)),
)
_NAMED = {level.name: level for level in LEVELS}


def is_known(name: str) -> bool:
    """Whether a pool may have this level."""
    return name in _NAMED


def is_redundant(name: str) -> bool:
    return name in _NAMED and _NAMED[name].redundant


def survives(name: str, slots: int, working: frozenset[int]) -> bool:
    """Whether the working slots still hold all data."""
    level = _NAMED.get(name)
    return level.survives(slots, working) if level else len(working) >= slots


def data_drives(name: str, count: int) -> int:
    """Over how many of ``count`` members each stripe's data go."""
    return _NAMED[name].data_drives(count)
