"""Calls that a dead disk may keep from ever returning.

Each gets a daemon thread of its own, which is left behind if it hangs: a pool of workers would
fill up and hold back the agent's exit.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

_AT_ONCE = 4
"""Several callers may ask at the same moment; more than a few only ever wait for a dead disk."""

T = TypeVar("T")


async def in_thread(call: Callable[[], T], name: str, deadline_s: float) -> T:
    """What ``call`` returns or raises; TimeoutError after ``deadline_s`` seconds.

    TimeoutError at once while several calls of this ``name`` hang already.
    """
    if sum(thread.name == name for thread in threading.enumerate()) >= _AT_ONCE:
        raise TimeoutError
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def work() -> None:
        try:
            result = call()
        except Exception as error:
            _deliver(loop, answer, error, None)
        else:
            _deliver(loop, answer, None, result)

    threading.Thread(target=work, name=name, daemon=True).start()
    async with asyncio.timeout(deadline_s):
        return await answer


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
