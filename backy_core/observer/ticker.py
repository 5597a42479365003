"""Looking again without an event: what gives none, and progress."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from backy_core.plugins import PluginHost
from backy_core.sdk.errors import BackyError

if TYPE_CHECKING:
    from backy_core.observer.observer import Observer

_log = logging.getLogger(__name__)
_TICK_S = 2.0
_MOVING = frozenset({"resync", "recovering", "check", "reshape"})


class Ticker:
    """Every 2 s: backends whose pools synchronise; backends that ask to be asked
    (``refresh_s``) and the whole machine (``rescan_s``, 0: never) when their time has come."""

    def __init__(self, observer: Observer, host: PluginHost, rescan_s: float) -> None:
        self._observer = observer
        self._host = host
        self._rescan_s = rescan_s
        self._asked: dict[str, float] = {}
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
                _log.debug("A look failed: %s", error)
            except Exception:
                _log.exception("A look failed")

    async def _tick(self, now: float) -> None:
        if self._rescan_s and now - self._rescanned >= self._rescan_s:
            self._rescanned = now
            await self._observer.refresh()
            return
        for backend in self._due(now):
            self._asked[backend] = now
            await self._observer.inspect(backend)

    def _due(self, now: float) -> list[str]:
        return [
            name
            for name, backend in self._host.backends.items()
            if self._moves(name) or self._asks(name, backend.info.refresh_s, now)
        ]

    def _moves(self, backend: str) -> bool:
        reports = self._observer.snapshot.reports.get(backend, ())
        return any(it.sync_percent is not None or it.health in _MOVING for it in reports)

    def _asks(self, backend: str, refresh_s: float | None, now: float) -> bool:
        return refresh_s is not None and now - self._asked.get(backend, 0.0) >= refresh_s
