"""The drives an administrator has put out of reach. Survives restarts."""

from __future__ import annotations

import asyncio
import json
from functools import partial

from backy_core.sdk.errors import SystemFailure
from backy_core.store.changes import Changes
from backy_core.system.own_files import OwnFile


class ProtectionStore:
    """Protected serials in a small JSON file: ``{"version": 1, "serials": […]}``."""

    def __init__(self, file: OwnFile, changes: Changes | None = None) -> None:
        self._file = file
        self._changes = changes or Changes()
        self._lock = asyncio.Lock()
        self._serials: frozenset[str] = frozenset()

    def load(self) -> None:
        """Read the file; none is an empty list.

        Raises :class:`SystemFailure` if it does not parse: going on without it would take the
        protection off every drive in silence.
        """
        try:
            data = self._file.read()
            text = None if data is None else data.decode()
        except (OSError, UnicodeDecodeError) as error:
            raise self._unusable(str(error)) from error
        self._serials = frozenset() if text is None else self._parse(text)

    def serials(self) -> frozenset[str]:
        return self._serials

    async def protect(self, serial: str) -> None:
        """On disk when it returns."""
        async with self._lock:
            await self._save(self._serials | {serial})

    async def unprotect(self, serial: str) -> None:
        """On disk when it returns."""
        async with self._lock:
            await self._save(self._serials - {serial})

    def _parse(self, text: str) -> frozenset[str]:
        try:
            serials = json.loads(text)["serials"]
            if not isinstance(serials, list) or not all(
                isinstance(serial, str) for serial in serials
            ):
                raise TypeError("serials is not a list of texts")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._unusable(str(error)) from error
        return frozenset(serials)

    def _unusable(self, reason: str) -> SystemFailure:
        return SystemFailure(
            f"The list of protected drives {self._file.path} cannot be read",
            details=reason,
            hint=f"Repair it, or put {self._file.previous.path} in its place",
        )

    async def _save(self, serials: frozenset[str]) -> None:
        if serials != self._serials:
            await self._file.to_the_end(partial(self._write, serials), "write the protected drives")
            self._changes.tell()

    def _write(self, serials: frozenset[str]) -> None:
        data = json.dumps({"version": 1, "serials": sorted(serials)}, indent=2).encode()
        self._file.write(data + b"\n", keep_previous=True)
        self._serials = serials
