"""Run calls that may never return because of a dead disk.

Each call gets its own daemon thread, which is abandoned if it hangs: a pool of workers would fill
up and block the journal and the agent's exit. asyncio.to_thread has such a pool, so it is not
used. The number of reads is limited for each name; the number of changes is limited by the running
operations.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

_AT_ONCE = 4
"""Several callers may ask at the same moment; more than a few only ever wait for a dead disk."""

_TURN_S = 0.02

T = TypeVar("T")


async def in_thread(call: Callable[[], T], name: str, deadline_s: float) -> T:
    """Run ``call`` with a deadline: TimeoutError after ``deadline_s`` seconds.

    ``name`` names the thing that may hang. If several calls of that name are running, wait for one
    of them to end; raise TimeoutError at once if they all hang.
    """
    async with asyncio.timeout(deadline_s):
        while len(ages := _ages(name)) >= _AT_ONCE:
            if min(ages) > deadline_s:
                raise TimeoutError
            await asyncio.sleep(_TURN_S)
        return await _begin(call, name)


async def apart(call: Callable[[], T], name: str) -> T:
    """Run ``call`` however long it takes; abandon it on a cancellation.

    For calls that no disk can block, made by one caller at a time.
    """
    return await _begin(call, name)


async def to_the_end(call: Callable[[], T], name: str) -> T:
    """Run ``call`` to its end however long it takes, even if the caller is cancelled.

    The cancellation is raised afterwards: a half-done change is worse than waiting.
    """
    answer = _begin(call, name)
    if await wait_out(answer):
        answer.exception()
        raise asyncio.CancelledError
    return answer.result()


async def wait_out(
    future: asyncio.Future[Any], on_cancel: Callable[[], None] | None = None
) -> bool:
    """Return once it is done; True if this was cancelled meanwhile, at which it calls back."""
    cancelled = False
    while not future.done():
        try:
            await asyncio.wait({future})
        except asyncio.CancelledError:
            cancelled = True
            if on_cancel is not None:
                on_cancel()
    return cancelled


class _Call(threading.Thread):
    def __init__(self, work: Callable[[], None], name: str) -> None:
        super().__init__(target=work, name=name, daemon=True)
        self.begun_at = time.monotonic()


def _ages(name: str) -> list[float]:
    """How many seconds each call of this name has been running."""
    now = time.monotonic()
    calls = (thread for thread in threading.enumerate() if isinstance(thread, _Call))
    return [now - call.begun_at for call in calls if call.name == name]


def _begin(call: Callable[[], T], name: str) -> asyncio.Future[T]:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def work() -> None:
        try:
            result = call()
        except Exception as error:
            _deliver(loop, answer, error, None)
        else:
            _deliver(loop, answer, None, result)

    _Call(work, name).start()
    return answer


def _deliver(
    loop: asyncio.AbstractEventLoop,
    answer: asyncio.Future[T],
    error: Exception | None,
    result: T | None,
) -> None:
    def settle() -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)  # type: ignore[arg-type]

    with suppress(RuntimeError):  # the loop is gone, and whoever asked with it
        loop.call_soon_threadsafe(settle)
