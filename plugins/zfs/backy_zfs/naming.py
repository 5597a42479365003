"""Names that belong to every zpool."""

from __future__ import annotations

SIGNATURE = "zfs_member"
LINKS = "/dev/disk/by-id"
"""Where members are looked for: names that stay, and never the kernel's."""
