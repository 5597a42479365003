"""The name of a pool's container on its drives, for formats that have room for the whole GUID."""

from __future__ import annotations

from uuid import UUID

PREFIX = "backy-"


def pool_name(guid: str) -> str:
    """The name that stamps the pool's GUID on its members."""
    return PREFIX + guid.lower()


def guid_of(name: str) -> str | None:
    """The GUID in a name of :func:`pool_name`; None for any other name."""
    text = name.removeprefix(PREFIX)
    try:
        return text if text != name and str(UUID(text)) == text else None
    except ValueError:
        return None
