"""Time that no test waits for, and calls that need no thread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

T = TypeVar("T")


class FakeClock:
    """Time that passes by sleeping alone: half a minute of patience takes no time."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic() + self.passed

    async def sleep(self, seconds: float) -> None:
        self.passed += seconds
        await asyncio.sleep(0.0005)

    async def idle(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def beat(self, period_s: float) -> None:
        await self.idle(period_s - self.monotonic() % period_s)


async def at_once(call: Callable[[], T]) -> T:
    """Nothing here blocks, so no thread is needed; tasks still take turns."""
    await asyncio.sleep(0)
    return call()


class FakeThreads:
    async def in_thread(self, call: Callable[[], T], name: str, deadline_s: float) -> T:
        return await at_once(call)

    async def apart(self, call: Callable[[], T], name: str) -> T:
        return await at_once(call)

    async def to_the_end(self, call: Callable[[], T], name: str) -> T:
        return await at_once(call)
