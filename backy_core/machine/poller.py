"""Polling what gives no event, and progress."""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple, Protocol

from backy_core.machine.happened import Touched
from backy_core.machine.snapshot import Snapshot
from backy_core.plugins.host import PluginHost
from backy_core.sdk.errors import BackyError
from backy_core.sdk.models import PoolReport
from backy_core.system.clock import Clock

_log = logging.getLogger(__name__)
_TICK_S = 2.0
_REST_S = 5.0
"""While no pool synchronises, which is most of the time."""
_FRESH_S = 1.0
"""An operation has just looked, and may be running a program that another look would slow."""
_DOUBT_S = 60.0
"""How long a backend is inspected again after filesystems on its pools gave up: md shows an array
as broken only once it is clean, and no event tells (``array_state_show``, Linux 6.0 and newer)."""
_MOVING = frozenset({"resync", "recovering", "check", "reshape"})


class _Polled(NamedTuple):
    """The result of a backend's poll; ``at`` by the monotonic clock."""

    at: float
    text: str | None


class Looks(Protocol):
    """How the machine is looked at again."""

    @property
    def snapshot(self) -> Snapshot: ...
    def asked_at(self, backend: str) -> float: ...
    async def rescan(self) -> None: ...
    async def poll(self, backend: str) -> str | None: ...
    async def follow_mounts(self) -> None: ...
    async def follow_arrays(self) -> None: ...
    async def inspect(self, backend: str, about: Touched = ...) -> tuple[PoolReport, ...]: ...


class Poller:
    """Every 5 s: whether a filesystem gave up or an array broke. Every 2 s while pools synchronise:
    their progress. Every ``refresh_s`` of a backend: what it polls. Every ``rescan_s`` (0: never):
    all devices.

    A backend inspects its pools only if what it polls has changed, so drives at rest can sleep.
    """

    def __init__(self, looks: Looks, host: PluginHost, clock: Clock, rescan_s: float) -> None:
        self._looks = looks
        self._host = host
        self._clock = clock
        self._rescan_s = rescan_s
        self._rescanned = self._clock.monotonic()
        self._polled: dict[str, _Polled] = {}
        self._doubted: frozenset[tuple[str, str]] = frozenset()
        """Backend and native id of the pools whose filesystem gave up."""
        self._doubted_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._rescanned = self._clock.monotonic()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._clock.beat(_TICK_S if self._moving() else _REST_S)
            try:
                await self._tick(self._clock.monotonic())
            except BackyError as error:
                _log.debug("The poll failed: %s", error)
            except Exception:
                _log.exception("The poll failed")

    async def _tick(self, now: float) -> None:
        if self._rescan_s and now - self._rescanned >= self._rescan_s:
            self._rescanned = now
            await self._looks.rescan()
        await self._looks.follow_mounts()
        await self._looks.follow_arrays()
        if (doubted := self._in_doubt()) != self._doubted:
            self._doubted, self._doubted_at = doubted, now
        for name, backend in self._host.backends.items():
            since_asked = now - self._looks.asked_at(name)
            if self._doubts(name, now):
                if since_asked >= _FRESH_S:
                    await self._looks.inspect(name)
            elif moving := self._moving_pools(name):
                if since_asked >= _FRESH_S:
                    await self._looks.inspect(name, Touched.of(pools=moving))
            elif backend.info.refresh_s is not None and since_asked >= backend.info.refresh_s:
                await self._poll(name, now, backend.info.refresh_s)

    async def _poll(self, backend: str, now: float, refresh_s: float) -> None:
        """Inspect if what is polled differs from the last time, or cannot be."""
        last = self._polled.get(backend)
        if last is not None and now - last.at < refresh_s:
            return
        try:
            text = await self._looks.poll(backend)
        except BackyError:  # to inspect says it to everybody
            text = None
        self._polled[backend] = _Polled(now, text)
        if text is None or last is None or last.text != text:
            await self._looks.inspect(backend)

    def _in_doubt(self) -> frozenset[tuple[str, str]]:
        snapshot = self._looks.snapshot
        return frozenset(
            (backend, report.native_id)
            for backend, reports in snapshot.reports.items()
            for report in reports
            if snapshot.in_doubt(report)
        )

    def _doubts(self, backend: str, now: float) -> bool:
        recent = now - self._doubted_at < _DOUBT_S
        return recent and any(name == backend for name, _ in self._doubted)

    def _moving(self) -> bool:
        return any(map(self._moving_pools, self._host.backends))

    def _moving_pools(self, backend: str) -> frozenset[str]:
        """Native ids of the pools that synchronise."""
        return frozenset(
            report.native_id
            for report in self._looks.snapshot.reports.get(backend, ())
            if report.sync_percent is not None or report.health in _MOVING
        )
