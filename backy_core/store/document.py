"""A small JSON file that must not be lost, nor silently replaced.

Written by rename after fsync with the previous generation beside it. What does not parse is
set aside under a dated name, the previous generation takes its place, and ``warnings`` says so.
A file that cannot be *read* (an I/O error, say) is an error: taking it for empty would make the
agent forget its pools.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from backy_core.sdk.errors import SystemFailure
from backy_core.system.clock import Clock
from backy_core.system.own_files import OwnFile

Document = dict[str, Any]

T = TypeVar("T")


class StoredModel(BaseModel):
    """An item of such a file, with camelCase keys. Keys of a newer version are kept."""

    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        alias_generator=to_camel,
        populate_by_name=True,
        defer_build=True,
    )


class DocumentFile:
    """One JSON object holding a list under ``list_key``. Not thread-safe; its owner locks."""

    def __init__(
        self, file: OwnFile, clock: Clock, list_key: str, *, keeps_previous: bool = True
    ) -> None:
        self._file = file
        self._clock = clock
        self.warnings: list[str] = []
        self._list_key = list_key
        self._keeps_previous = keeps_previous

    async def to_the_end(self, call: Callable[[], T], name: str) -> T:
        """As :meth:`OwnFile.to_the_end`."""
        return await self._file.to_the_end(call, name)

    @property
    def path(self) -> Path:
        return self._file.path

    def read(self) -> Document:
        """The newest generation that parses; an empty document if there is none."""
        data = _read(self._file)
        if data is None:
            self._warn_of_orphan()
            return {}
        document = self._parse(data)
        return self._recover() if document is None else document

    def write(self, document: Document) -> None:
        """Replace the file durably, keeping what it held as the previous generation."""
        self._file.write(_text(document), keep_previous=self._keeps_previous)

    def _recover(self) -> Document:
        aside = self._set_aside(self._file)
        document = self._previous() if self._keeps_previous else None
        if document is not None:
            now = "its previous generation was used"
        elif self._keeps_previous:
            now = "its previous generation does not help, so nothing is remembered"
        else:
            now = "nothing of it is used"
        self.warnings.append(
            f"{self.path} could not be understood and was set aside as {aside}; {now}"
        )
        # Replaces the bad file in one rename: at no moment is there no file.
        self._file.write(_text(document or {self._list_key: []}))
        return document or {}

    def _previous(self) -> Document | None:
        old = _read(self._file.previous)
        document = None if old is None else self._parse(old)
        if old is not None and document is None:
            self._set_aside(self._file.previous)
        return document

    def _parse(self, data: bytes) -> Document | None:
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            return None
        if not isinstance(document, dict):
            return None
        return document if isinstance(document.get(self._list_key), list) else None

    def _set_aside(self, file: OwnFile) -> str:
        """Link, so that the name itself is only ever replaced. The name it has from now on."""
        stamp = self._clock.now().strftime("%Y%m%dT%H%M%S.%fZ")
        aside = f"{file.name}.unreadable-{stamp}"
        try:
            file.link(aside)
        except OSError as error:
            raise SystemFailure(f"Cannot set {file.path} aside: {error.strerror}") from error
        return aside

    def _warn_of_orphan(self) -> None:
        if self._file.previous.exists():
            self.warnings.append(
                f"{self.path} is missing; its previous generation {self._file.previous.path} "
                "was left alone"
            )


def _text(document: Document) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode(
        errors="surrogatepass"
    )


def _read(file: OwnFile) -> bytes | None:
    try:
        return file.read()
    except OSError as error:
        raise SystemFailure(f"Cannot read {file.path}: {error.strerror}") from error
