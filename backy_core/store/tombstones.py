"""Tombstones: pools that were torn down while some of their drives were absent.

Such a drive still has its pool's stamp when it returns. The tombstone tells which pool it belonged
to, so that the agent can offer to wipe it, and keeps the GUID from being used again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from pydantic import AliasChoices, Field, ValidationError

from backy_core.sdk.models import DriveId, SignatureMatch
from backy_core.store.document import DocumentFile, StoredModel
from backy_core.system.clock import Clock
from backy_core.system.own_files import OwnFile

FILE_VERSION = 1


class Tombstone(StoredModel):
    """A deleted pool and the drives that still have its stamp. Older files hold fewer fields."""

    guid: str
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


_Stones = dict[str, Tombstone]


class Tombstones:
    """The file and its content in memory, as :class:`MetadataStore` for pools."""

    def __init__(self, file: OwnFile, clock: Clock) -> None:
        self._file = DocumentFile(file, clock, "tombstones")
        self._lock = asyncio.Lock()
        self._stones: _Stones = {}
        self._kept: list[Any] = []

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the file for the administrator, one sentence each."""
        return tuple(self._file.warnings)

    def load(self) -> None:
        """Read the file; forget what was in memory. SystemFailure if it cannot be read."""
        self._file.warnings.clear()
        self._stones, self._kept = {}, []
        for raw in self._file.read().get("tombstones", ()):
            self._take(raw)

    def all(self) -> tuple[Tombstone, ...]:
        """Every tombstone, oldest first."""
        return tuple(self._stones.values())

    def get(self, guid: str) -> Tombstone | None:
        return self._stones.get(guid)

    async def add(self, stone: Tombstone) -> None:
        """Remember durably, replacing one with the same GUID."""
        await self._change(lambda stones: {**stones, stone.guid: stone})

    async def discard(self, guid: str) -> None:
        """Forget the tombstone. No-op if unknown."""
        if guid in self._stones:
            await self._change(lambda stones: {key: stones[key] for key in stones if key != guid})

    async def _change(self, change: Callable[[_Stones], _Stones]) -> None:
        async with self._lock:
            await self._file.to_the_end(
                partial(self._write, change(self._stones)), "write the tombstones"
            )

    def _write(self, stones: _Stones) -> None:
        dumped = [stone.model_dump(mode="json", by_alias=True) for stone in stones.values()]
        self._file.write({"version": FILE_VERSION, "tombstones": [*dumped, *self._kept]})
        self._stones = stones

    def _take(self, raw: Any) -> None:
        try:
            stone = Tombstone.model_validate(raw)
        except ValidationError:
            self._kept.append(raw)
            self._file.warnings.append(f"{self._file.path}: an entry is not used: {raw!r:.200}")
            return
        self._stones[stone.guid] = stone
