"""Opening at start what should be mounted.

A pool is opened by itself only with all its members, or with those that were active last time;
late drives are waited for. Opening with members missing is left to an explicit mount.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping

from backy_core.operations.records import Operation
from backy_core.pools.core import Core
from backy_core.pools.metadata import PoolEntry
from backy_core.pools.service import PoolService
from backy_core.sdk.errors import BackyError

log = logging.getLogger(__name__)

_LOOK_S = 0.5
_GONE = ("missing", "disconnected")


class Startup:
    def __init__(self, core: Core, service: PoolService) -> None:
        self._core = core
        self._service = service

    def mark(self) -> None:
        """Before anything is served: these pools are on their way, not in error."""
        entries = self._core.metadata.entries()
        self._core.opening |= {entry.guid for entry in entries if entry.is_mounted}

    async def open_all(self, recoveries: Mapping[str, Operation]) -> None:
        """Open what is marked, and what a recovery puts into the metadata.

        ``recoveries`` by GUID: a pool waits for its own and for no other's, which may take as
        long as a disk that does not answer.
        """
        guids = {*self._core.opening, *recoveries}
        self._core.opening |= guids
        await asyncio.gather(*(self._open(guid, recoveries.get(guid)) for guid in guids))

    async def _open(self, guid: str, recovery: Operation | None) -> None:
        try:
            if recovery is not None:
                await recovery.ended()
            await self._wait_for_members(guid)
            entry = self._core.metadata.get(guid)
            if entry is None or not entry.is_mounted or self._service.viewer.mounted_at(entry):
                return
            operation = await self._service.mount(guid, degraded=False)
            await operation.wait()
        except BackyError as error:
            self._core.open_errors[guid] = str(error)
            log.error("pool %s was not opened: %s", guid, error)
        finally:
            self._core.opening.discard(guid)

    async def _wait_for_members(self, guid: str) -> None:
        deadline = time.monotonic() + self._core.settings.open_wait_s
        while time.monotonic() < deadline:
            entry = self._core.metadata.get(guid)
            if entry is None or not entry.is_mounted or self._complete(entry):
                return
            await asyncio.sleep(_LOOK_S)

    def _complete(self, entry: PoolEntry) -> bool:
        """Mounted already, or every remembered drive is here and a member."""
        if self._service.viewer.mounted_at(entry) is not None:
            return True
        report = self._core.find_report(entry)
        members = {m.drive.serial for m in report.members if m.drive} if report else set()
        return set(entry.drive_serials) <= members
