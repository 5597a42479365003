"""Names that belong to every zpool."""

from __future__ import annotations

from backy_core.sdk.models import Capability

SIGNATURE = "zfs_member"
LINKS = "/dev/disk/by-id"
"""Where members are looked for: names that stay, and never the kernel's."""

CAPABILITIES: frozenset[Capability] = frozenset(
    ("add_drive", "degraded_open", "force_open", "import", "scoped_inspect")
)
