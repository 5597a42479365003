"""Time, as the agent reads it and waits for it to pass."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Handed to whatever waits on purpose, so that a test need not wait as long."""

    def now(self) -> datetime:
        """The wall clock, in UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back, from no particular moment on."""

    async def sleep(self, seconds: float) -> None:
        """Return when this many of them have passed."""


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def next_beat(period_s: float) -> None:
    """Sleep to the next multiple of ``period_s`` on the monotonic clock.

    Timers whose periods are multiples of each other then wake the agent together.
    """
    await asyncio.sleep(period_s - time.monotonic() % period_s)
