"""The RAID levels of md. Pure."""

from __future__ import annotations

from backy_core.sdk.models import Capability, Level

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

CAPABILITIES: frozenset[Capability] = frozenset(
    ("add_drive", "degraded_open", "force_open", "import", "scoped_inspect")
)
