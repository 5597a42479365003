"""Looking again without an event: what gives none, and progress."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import Protocol

from backy_core.machine.snapshot import Snapshot
from backy_core.plugins.host import PluginHost
from backy_core.sdk.errors import BackyError
from backy_core.sdk.models import PoolReport

_log = logging.getLogger(__name__)
_TICK_S = 2.0
_FRESH_S = 1.0
"""An operation has just looked, and may be running a program that another look would slow."""
_MOVING = frozenset({"resync", "recovering", "check", "reshape"})


class Looks(Protocol):
    """How the machine is looked at again."""

    @property
    def snapshot(self) -> Snapshot: ...
    def asked_at(self, backend: str) -> float: ...
    async def refresh(self) -> Snapshot: ...
    async def follow_mounts(self) -> None: ...
    async def inspect(self, backend: str) -> tuple[PoolReport, ...]: ...


class Poller:
    """Every 2 s: whether a filesystem gave up; backends whose pools synchronise; backends that ask
    to be asked (``refresh_s``) and the whole machine (``rescan_s``, 0: never) when their time has
    come."""

    def __init__(self, looks: Looks, host: PluginHost, rescan_s: float) -> None:
        self._looks = looks
        self._host = host
        self._rescan_s = rescan_s
        self._rescanned = time.monotonic()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._rescanned = time.monotonic()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            try:
                await self._tick(time.monotonic())
            except BackyError as error:
                _log.debug("The poll failed: %s", error)
            except Exception:
                _log.exception("The poll failed")

    async def _tick(self, now: float) -> None:
        if self._rescan_s and now - self._rescanned >= self._rescan_s:
            self._rescanned = now
            await self._looks.refresh()
            return
        await self._looks.follow_mounts()
        for backend in self._due(now):
            await self._looks.inspect(backend)

    def _due(self, now: float) -> list[str]:
        return [
            name
            for name, backend in self._host.backends.items()
            if now - self._looks.asked_at(name) >= self._pace(name, backend.info.refresh_s)
        ]

    def _pace(self, backend: str, refresh_s: float | None) -> float:
        """Seconds from one inspection to the next."""
        if self._moves(backend):
            return _FRESH_S
        return math.inf if refresh_s is None else refresh_s

    def _moves(self, backend: str) -> bool:
        reports = self._looks.snapshot.reports.get(backend, ())
        return any(
            report.sync_percent is not None or report.health in _MOVING for report in reports
        )
