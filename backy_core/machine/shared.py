"""One call at a time, for everybody who asks meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """Awaiting it gives the result of a call that began after that.

    One call runs, and the next serves all who ask until it begins. A caller that is cancelled
    takes nothing from the others.
    """

    def __init__(self, call: Callable[[], Awaitable[T]]) -> None:
        self._call = call
        self._running: asyncio.Task[T] | None = None
        self._waiting: asyncio.Task[T] | None = None

    async def __call__(self) -> T:
        if self._waiting is None:
            self._waiting = asyncio.create_task(self._after(self._running))
        return await asyncio.shield(self._waiting)

    def tasks(self) -> set[asyncio.Task[T]]:
        return {task for task in (self._running, self._waiting) if task is not None}

    async def _after(self, before: asyncio.Task[T] | None) -> T:
        if before is not None:
            await asyncio.wait({before})
        self._running, self._waiting = self._waiting, None
        return await self._call()
