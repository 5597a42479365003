"""Time, as the agent reads it and waits for it to pass."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Handed to whatever reads the time or waits on purpose."""

    def now(self) -> datetime:
        """The wall clock, in UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back, from no particular moment on."""

    async def sleep(self, seconds: float) -> None:
        """Return when this many of them have passed. Somebody waits for what comes next."""

    async def idle(self, seconds: float) -> None:
        """The same, between rounds of work that goes on by itself. A test must not hurry it: the
        rounds would follow each other without end."""

    async def beat(self, period_s: float) -> None:
        """Idle until :meth:`monotonic` is at the next multiple of ``period_s``: timers whose
        periods are multiples of each other wake the agent together."""


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def idle(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def beat(self, period_s: float) -> None:
        await self.idle(period_s - self.monotonic() % period_s)
