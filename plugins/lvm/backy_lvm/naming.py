"""Names in a volume group that Backy made. Pure."""

from __future__ import annotations

SIGNATURE = "LVM2_member"
VOLUME = "pool"
"""The one logical volume of a pool made here."""
GUID_TAG = "backy="
APART_TAG = "backy-without="
"""With a member's PV UUID: the group was used while that member was missing."""
