"""A file of items by GUID, and its content in memory. Every change is on disk before it is seen.

What a newer version wrote, and items that cannot be used, are kept when the file is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import ValidationError

from backy_core.store.changes import Changes
from backy_core.store.document import Document, DocumentFile, StoredModel
from backy_core.system.clock import Clock
from backy_core.system.own_files import OwnFile

FILE_VERSION = 1


class Item(StoredModel):
    guid: str

    def as_json(self) -> dict[str, Any]:
        """As the file and the journal have it."""
        return self.model_dump(mode="json", by_alias=True)


ItemT = TypeVar("ItemT", bound=Item)


class Remembered(Generic[ItemT]):
    """Lives as long as the agent. A slow disk holds up whoever changes something and those who
    want to after it, not the event loop. Methods raise SystemFailure when the file cannot be read
    or written, and then nothing has changed.
    """

    list_key: ClassVar[str]
    """Where the file has the items."""
    noun: ClassVar[str] = "pool"
    """What an item is called in warnings."""
    keeps_previous: ClassVar[bool] = True
    """Whether a damaged file is replaced by its previous generation."""
    model: type[ItemT]

    def __init__(self, file: OwnFile, clock: Clock, changes: Changes | None = None) -> None:
        self._clock = clock
        self._changes = changes or Changes()
        self._file = DocumentFile(file, clock, self.list_key, keeps_previous=self.keeps_previous)
        self._lock = asyncio.Lock()
        self._entries: dict[str, ItemT] = {}
        """Replaced by each change, never changed itself once it is loaded."""
        self._listed: tuple[dict[str, ItemT], tuple[ItemT, ...]] = (self._entries, ())
        self._kept: list[Any] = []
        self._top: Document = {}

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the file for the administrator, one sentence each."""
        return tuple(self._file.warnings)

    def load(self) -> None:
        """Read the file; forget what was in memory. Blocks: for the start."""
        self._file.warnings.clear()
        document = self._file.read()
        self._entries, self._kept = {}, []
        self._top = {key: document[key] for key in document if key != self.list_key}
        self._warn_of_version()
        for raw in document.get(self.list_key, ()):
            self._take(raw)

    def entries(self) -> tuple[ItemT, ...]:
        """Every item, oldest first: the same object until one changes."""
        now = self._entries  # read once: it is replaced in the thread that writes the file
        if self._listed[0] is not now:
            self._listed = (now, tuple(now.values()))
        return self._listed[1]

    def get(self, guid: str) -> ItemT | None:
        return self._entries.get(guid)

    async def put(self, entry: ItemT) -> None:
        """Add the item or replace the one with its GUID."""
        await self._change(lambda entries: {**entries, entry.guid: entry})

    async def remove(self, guid: str) -> None:
        """Forget the item. No-op if unknown."""

        def change(entries: dict[str, ItemT]) -> dict[str, ItemT]:
            rest = {key: entry for key, entry in entries.items() if key != guid}
            return rest if guid in entries else entries

        await self._change(change)

    async def _change(self, change: Callable[[dict[str, ItemT]], dict[str, ItemT]]) -> bool:
        """False: ``change`` gave back what it was given, and nothing was written."""
        async with self._lock:
            before = self._entries
            if (changed := change(before)) is before:
                return False
            name = f"write {self._file.path.name}"
            await self._file.to_the_end(partial(self._write, changed), name)
        self._changes.tell()
        return True

    def _write(self, entries: dict[str, ItemT]) -> None:
        self._file.write(self._document(entries))
        self._entries = entries

    def _document(self, entries: dict[str, ItemT]) -> Document:
        dumped = [entry.as_json() for entry in entries.values()]
        return {"version": FILE_VERSION, **self._top, self.list_key: [*dumped, *self._kept]}

    def _take(self, raw: Any) -> None:
        try:
            entry = self.model.model_validate(raw)
        except ValidationError as error:
            self._keep(raw, _problem(error))
            return
        if entry.guid in self._entries:
            self._keep(raw, "its GUID is there twice")
            return
        self._entries[entry.guid] = entry

    def _keep(self, raw: Any, reason: str) -> None:
        """An entry that cannot be used is not thrown away with the next write."""
        self._kept.append(raw)
        key = self.model.model_fields["guid"].alias or "guid"
        name = raw.get(key) if isinstance(raw, dict) else None
        entry = f"the entry of {self.noun} {name or '(no GUID)'}"
        self._file.warnings.append(f"{self._file.path}: {entry} is not used: {reason}")

    def _warn_of_version(self) -> None:
        version = self._top.get("version", FILE_VERSION)
        if version != FILE_VERSION:
            self._file.warnings.append(
                f"{self._file.path} has version {version!r}; this agent knows {FILE_VERSION}"
            )


def _problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "entry"
    return f"{where} cannot be used ({first['msg']})"
