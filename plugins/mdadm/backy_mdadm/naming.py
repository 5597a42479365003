"""Names of an array and its members. Pure."""

from __future__ import annotations

SIGNATURE = "linux_raid_member"
NAME_PREFIX = "backy-"
NO_CONFIG = "--config=none"
"""Keeps the host's mdadm.conf out of a command."""


def array_name(guid: str) -> str:
    """The array's name: POSIX letters, and with ``any:`` before it within md's 32 characters.

    Sixteen hex digits of the GUID, so that members can be told as ours by their label alone.
    """
    return NAME_PREFIX + guid.replace("-", "")[:16].lower()
