"""Opening at start what should be mounted.

A pool is opened by itself only with all its members, or with those that were active last time;
late drives are waited for, and one that comes later still is a reason to try again. Opening with
members missing is left to an explicit mount.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from backy_core.operations.records import Operation
from backy_core.pools.core import Core
from backy_core.pools.lifecycle.sealing import seal_place
from backy_core.pools.service import PoolService
from backy_core.sdk.errors import BackyError
from backy_core.store.metadata import PoolEntry

log = logging.getLogger(__name__)

_LOOK_S, _AGAIN_S = 0.5, 2.0


class Startup:
    def __init__(self, core: Core, service: PoolService, on_tried: Callable[[str], None]) -> None:
        """``on_tried`` is called with the GUID of each pool that opened or did not."""
        self._core = core
        self._service = service
        self._on_tried = on_tried
        self._late: dict[str, frozenset[str]] = {}
        """Pools that did not open, and which of their drives were here by then."""

    def mark(self) -> None:
        """Before anything is served: these pools are on their way, not in error."""
        for entry in self._core.metadata.entries():
            if entry.is_mounted:
                self._expect(entry.guid)

    async def open_all(self, recoveries: Mapping[str, Operation]) -> None:
        """Open what is marked, and what a recovery puts into the metadata.

        ``recoveries`` by GUID: a pool waits for its own and for no other's, which may take as
        long as a disk that does not answer.
        """
        for guid in recoveries:
            self._expect(guid)
        guids = tuple(self._core.opening)
        await asyncio.gather(*(self._open(guid, recoveries.get(guid)) for guid in guids))

    async def seal_places(self) -> None:
        """Seal what an earlier agent, which did not do so, made for pools that are away."""
        for entry in self._core.metadata.entries():
            working = self._core.registry.running_on(entry.guid) is not None
            if not (working or self._service.viewer.mounted_at(entry)):
                await seal_place(self._core, entry, log.warning)

    async def open_late(self) -> None:
        """Try again the pools one of whose drives has come since."""
        await asyncio.gather(*(self._open(guid, None) for guid in self._joined()))

    def _joined(self) -> list[str]:
        joined = []
        for guid, were_here in tuple(self._late.items()):
            entry = self._core.metadata.get(guid)
            present = self._here(entry) if entry else frozenset()
            self._late[guid] = present
            if entry is None or not entry.is_mounted:
                del self._late[guid]
            elif present - were_here:
                joined.append(guid)
                if len(present) == len(entry.drive_serials):
                    self._core.open_errors[guid] = ""  # what it says of missing drives is over
                    self._expect(guid)
        return joined

    def _expect(self, guid: str) -> None:
        self._core.opening.setdefault(guid, asyncio.Event())

    def _tried(self, guid: str) -> None:
        if (opening := self._core.opening.pop(guid, None)) is not None:
            opening.set()
            self._core.changes.tell()
            self._on_tried(guid)

    async def _open(self, guid: str, recovery: Operation | None) -> None:
        try:
            if recovery is not None:
                await recovery.ended()
            deadline = self._core.clock.monotonic() + self._core.settings.open_wait_s
            while not await self._opened(guid, deadline):
                pass
        finally:
            self._tried(guid)

    async def _opened(self, guid: str, deadline: float) -> bool:
        """Whether nothing is left to try. While udev still assembles what came last, an attempt
        may fail that does not a moment later."""
        await self._wait_for_members(guid, deadline)
        entry = self._core.metadata.get(guid)
        if entry is None or not entry.is_mounted or self._service.viewer.mounted_at(entry):
            return True
        error = await self._try(entry)
        if error is None:
            return True
        if self._core.clock.monotonic() < deadline:
            await self._core.clock.idle(_AGAIN_S)
            return False
        self._core.open_errors[guid] = str(error)
        log.error("Pool %s was not opened: %s", guid, error)
        return True

    async def _try(self, entry: PoolEntry) -> BackyError | None:
        present = self._here(entry)
        if len(present) < len(entry.drive_serials):
            self._late[entry.guid] = present
        try:
            operation = await self._service.mount(entry.guid, degraded=False)
            await operation.wait()
        except BackyError as error:
            return error
        self._late.pop(entry.guid, None)
        return None

    def _here(self, entry: PoolEntry) -> frozenset[str]:
        return self._core.observer.snapshot.connected.intersection(entry.drive_serials)

    async def _wait_for_members(self, guid: str, deadline: float) -> None:
        while self._core.clock.monotonic() < deadline:
            entry = self._core.metadata.get(guid)
            if entry is None or not entry.is_mounted or self._complete(entry):
                return
            await self._core.clock.idle(_LOOK_S)

    def _complete(self, entry: PoolEntry) -> bool:
        """Mounted already, or every remembered drive is here and a member."""
        if self._service.viewer.mounted_at(entry) is not None:
            return True
        report = self._core.find_report(entry)
        members = {drive.serial for drive in report.drives} if report else set()
        return set(entry.drive_serials) <= members
