"""Tombstones: pools that were torn down while some of their drives were absent.

Such a drive still has its pool's stamp when it returns. The tombstone tells which pool it belonged
to, so that the agent can offer to wipe it, and keeps the GUID from being used again.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import AliasChoices, Field

from backy_core.sdk.models import DriveId, SignatureMatch
from backy_core.store.remembered import Item, Remembered


class Tombstone(Item):
    """A deleted pool and the drives that still have its stamp. Older files hold fewer fields."""

    backend: str
    label: str = ""
    level: str = ""
    filesystem: str | None = None
    drives: tuple[DriveId, ...]
    """Those that were not wiped at teardown: absent or unreadable."""
    members: tuple[DriveId, ...] = ()
    """All it had; backends recognise members by them."""
    stamps: tuple[SignatureMatch, ...] = ()
    """How the pool's members are recognised."""
    enclosing: tuple[SignatureMatch, ...] = Field(
        (), validation_alias=AliasChoices("enclosing", "around")
    )
    """Signatures that may enclose a stamp on a member and are erased with it. Earlier tombstones
    call it ``around``."""
    native_id: str | None = None
    """The backend's own identity, by which what is left of it is reported."""
    deleted_at: datetime


class Tombstones(Remembered[Tombstone]):
    list_key = "tombstones"
    model = Tombstone
