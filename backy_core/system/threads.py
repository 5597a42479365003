"""Calls that a dead disk may keep from ever returning.

Each gets a daemon thread of its own, which is left behind if it hangs: a pool of workers would
fill up, and hold back the journal and the agent's exit. asyncio.to_thread has such a pool, so it is
not used. Questions are bounded for each thing that is asked; what changes something is bounded by
the operations that run.
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
    """What ``call`` returns or raises; TimeoutError after ``deadline_s`` seconds.

    While several calls of this ``name``, which names what may hang, are under way, it waits for
    one of them to end; TimeoutError at once if they all hang.
    """
    async with asyncio.timeout(deadline_s):
        while len(ages := _ages(name)) >= _AT_ONCE:
            if min(ages) > deadline_s:
                raise TimeoutError
            await asyncio.sleep(_TURN_S)
        return await _begin(call, name)


async def apart(call: Callable[[], T], name: str) -> T:
    """What ``call`` returns or raises, however long it takes; left behind on a cancellation.

    For what does not hang for a disk's sake, and is asked by one at a time.
    """
    return await _begin(call, name)


async def to_the_end(call: Callable[[], T], name: str) -> T:
    """What ``call`` returns or raises, however long it takes, whoever is cancelled meanwhile.

    A cancellation is raised only then: what is left half-way is worse than to wait.
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
    """How many seconds each call of this name has been under way."""
    now = time.monotonic()
    calls = (each for each in threading.enumerate() if isinstance(each, _Call))
    return [now - each.begun_at for each in calls if each.name == name]


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
