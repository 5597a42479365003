"""The pools remembered across restarts: ``pool-metadata.json``.

It holds only pools whose creation succeeded. The earlier agent's file is read as it is. Unknown
fields and entries are kept when the file is written.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    model_validator,
)

from backy_core.sdk.errors import SystemFailure
from backy_core.sdk.models import DriveId, MemberReport, PoolReport, PoolSpec, Portability
from backy_core.sdk.stack import Layer
from backy_core.store.changes import Changes
from backy_core.store.document import Document
from backy_core.store.opens_on import OpensOn
from backy_core.store.remembered import Item, Remembered
from backy_core.system.clock import Clock
from backy_core.system.own_files import OwnFile

log = logging.getLogger(__name__)

LEGACY_BACKEND = "mdadm"
"""The earlier agent made mdadm pools only, and its entries do not say so."""


def _guid_text(value: str) -> str:
    return str(uuid.UUID(value))


def _utc(value: datetime) -> datetime:
    """A time without a zone is UTC; the earlier agent's seven digits are cut to microseconds."""
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {key: label for key, label in value.items() if label is not None}
    return value


Guid = Annotated[str, AfterValidator(_guid_text)]
Moment = Annotated[datetime, AfterValidator(_utc)]
Labels = Annotated[dict[str, str], BeforeValidator(_without_nulls)]

_LEFT_BEHIND = ("stale", "diverged", "failed")


class PoolEntry(Item):
    """One remembered pool. ``is_mounted`` is the desired state."""

    guid: Guid = Field(alias="poolGroupGuid")
    label: str = ""
    backend: str = LEGACY_BACKEND
    level: str | None = None
    """None in the earlier agent's entries, until the pool is seen."""
    filesystem: str | None = None
    md_device_name: str | None = None
    """The kernel's name when last seen. Shown, never trusted."""
    drive_serials: tuple[str, ...] = ()
    drive_labels: Labels = Field(default_factory=dict)
    """By serial."""
    created_at: Moment | None = None
    last_mount_path: str | None = None
    is_mounted: bool = False
    native_id: str | None = None
    """Equals the GUID for pools we made; None for the earlier agent's until it is learnt."""
    fs_uuid: str | None = None
    drive_ids: tuple[DriveId, ...] = ()
    """The members by serial, WWN and size; empty in the earlier agent's entries."""
    others: tuple[str, ...] = ()
    """What else lay in the pool's container when it was closed (``PoolReport.others``)."""
    leaving: tuple[str, ...] = ()
    """Members among ``drive_serials`` that another drive replaces, until the pool lets them go."""
    seen_by_force: str | None = None
    """Why the last mount was one by force (``PoolReport.needs_force``). The next ordinary mount may
    make that last, unless by then the pool needs force for something else."""
    portability: Portability | None = None
    """None in entries of pools that were imported, or made before this was asked."""
    opens_on: OpensOn | None = None
    """What opens it, as it was seen when it was made or mounted last."""
    layers: tuple[Layer, ...] = ()
    """The layers over its device, from the bottom."""
    made_directories: tuple[str, ...] = ()
    """Directories made for the mount path, deepest first; removed when the pool is deleted."""

    @property
    def title(self) -> str:
        """The name administrators know: its label, or its GUID while it has none."""
        return self.label or self.guid

    def spec(self, report: PoolReport | None = None) -> PoolSpec:
        """The pool as backends are asked about it, by the identity in ``report`` if given."""
        return PoolSpec(
            guid=self.guid,
            native_id=report.native_id if report else self.native_id,
            label=self.label,
            level=self.level or "",
            filesystem=self.filesystem,
            fs_uuid=self.fs_uuid,
            mount_path=self.last_mount_path,
            drives=self.drive_ids,
            layers=self.layers,
        )

    def members_in(self, report: PoolReport | None) -> dict[str, MemberReport]:
        """Return the pool's members that ``report`` shows, by serial.

        Leave out replaced drives: they keep the pool's stamp until they are wiped, and md holds
        them until the array is stopped.
        """
        return {
            member.drive.serial: member
            for member in (report.members if report else ())
            if member.drive is not None
            and (self._stays(member.drive.serial) or member.state not in _LEFT_BEHIND)
        }

    def _stays(self, serial: str) -> bool:
        return serial in self.drive_serials and serial not in self.leaving

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, raw: object) -> object:
        if not isinstance(raw, dict):
            return raw
        known_fields = {field.alias for field in cls.model_fields.values()}
        return {key: raw[key] for key in raw if raw[key] is not None or key not in known_fields}


class MetadataStore(Remembered[PoolEntry]):
    """The file of pools. :meth:`promise` alone changes what is known although it was not written:
    it is for what cannot be taken back."""

    list_key = "pools"
    model = PoolEntry

    def __init__(self, file: OwnFile, clock: Clock, changes: Changes | None = None) -> None:
        super().__init__(file, clock, changes)
        self.on_written: Callable[[], None] = lambda: None
        """Called after each time the file was written, with all that is in memory, in the thread
        that wrote it."""

    async def revise(self, guid: str, revised: Callable[[PoolEntry], PoolEntry]) -> bool:
        """Replace an entry by what ``revised`` makes of it when its turn to be written comes.

        False if that changes nothing or the pool is not known (any more).
        """

        def change(entries: dict[str, PoolEntry]) -> dict[str, PoolEntry]:
            entry_before = entries.get(guid)
            new = entry_before and revised(entry_before)
            return entries if new is None or new == entry_before else {**entries, guid: new}

        return await self._change(change)

    async def promise(self, entry: PoolEntry) -> bool:
        """As :meth:`put`, for what the journal has durably: it is known whatever becomes of the
        file. False: that could not be written; the next change that can be brings it along."""
        try:
            await self.put(entry)
        except SystemFailure as error:
            log.error("pool %s is known to the journal alone for now: %s", entry.guid, error)
            self._entries = {**self._entries, entry.guid: entry}
            self._changes.tell()
            return False
        return True

    def _write(self, entries: dict[str, PoolEntry]) -> None:
        super()._write(entries)
        self.on_written()

    def _document(self, entries: dict[str, PoolEntry]) -> Document:
        now = self._clock.now().isoformat().replace("+00:00", "Z")
        return {**super()._document(entries), "lastUpdated": now}
