"""The RAID levels of md, and what is left of an array that lacks members. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from backy_core.sdk.models import Level

LEVELS = (
    Level(name="raid1", min_drives=1, copies=None, aliases=("1", "mirror")),
    Level(name="raid0", min_drives=2, aliases=("0", "stripe")),
    Level(name="raid5", min_drives=3, parity=1, aliases=("5",)),
    Level(name="raid6", min_drives=4, parity=2, aliases=("6",)),
    Level(name="raid10", min_drives=4, copies=2, aliases=("10",)),
)
OTHER_LEVELS = (
    Level(name="raid4", min_drives=3, parity=1),
    Level(name="linear", min_drives=1),
)
_NAMED = {level.name: level for level in (*LEVELS, *OTHER_LEVELS)}


def survives(name: str, layout: int, slots: int, working: Iterable[int]) -> bool:
    """Whether the working slots still hold all data. ``layout`` is md's number for raid10:
    near copies in the low byte, far copies in the next."""
    level = _NAMED.get(name)
    if level is None:
        return len(frozenset(working)) >= slots
    near = None
    if name == "raid10":
        near = layout & 0xFF or 2
        level = level.model_copy(update={"copies": near * (layout >> 8 & 0xFF or 1)})
    return level.survives(slots, frozenset(working), near=near)


def parity_of(name: str) -> int:
    """How many drives' worth of parity a stripe has."""
    level = _NAMED.get(name)
    return level.parity if level else 0
