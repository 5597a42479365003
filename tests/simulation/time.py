"""An event loop in which waiting takes no time and nothing happens in another order next time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from contextvars import Context
from datetime import UTC, datetime, timedelta
from typing import TypeVar, TypeVarTuple, Unpack

from backy_core.plugins.calls import Looks
from backy_core.sdk.models import Probe
from backy_core.system.clock import SystemClock

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class NothingLeft(AssertionError):
    """Everybody waits for somebody else: a deadlock."""


class _Jump(selectors.SelectSelector):
    """Instead of waiting, the time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise NothingLeft
        self.now += max(timeout, 0)
        return []


class SimulatedLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.now

    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        raise AssertionError("a simulation has no threads")


class SimulatedClock(SystemClock):
    """The loop's time. ``offset_s`` is how far somebody has set the wall clock."""

    def __init__(self) -> None:
        self.offset_s = 0.0

    def now(self) -> datetime:
        return _BEGIN + timedelta(seconds=self.monotonic() + self.offset_s)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


class NoThreads:
    """Plugins are called in the loop: those of a simulation return."""

    async def within(self, call: Callable[[], T], name: str, deadline_s: float) -> T:
        return call()

    def looks(self, name: str) -> Looks:
        return _Directly()


class _Directly:
    async def look(
        self, ask: Callable[[Probe], Awaitable[T]], probe: Probe, deadline_s: float
    ) -> T:
        async with asyncio.timeout(deadline_s):
            return await ask(probe)
