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
