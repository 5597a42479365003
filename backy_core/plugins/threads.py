"""Calling foreign code that may never return.

Each call gets a daemon thread of its own: a plugin that hangs costs one idle thread, where a
pool of workers would fill up and hold back the agent's exit.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def start(call: Callable[[], T], name: str) -> Future[T]:
    """Run ``call`` in a daemon thread."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # an impatient caller cannot cancel it any more

    def work() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(tamed(error))

    threading.Thread(target=work, name=name, daemon=True).start()
    return future


def call_within(call: Callable[[], T], name: str, deadline_s: float) -> T:
    """The result of ``call``; TimeoutError after ``deadline_s`` seconds, the thread left."""
    return start(call, name).result(deadline_s)


async def call_async_within(call: Callable[[], T], name: str, deadline_s: float) -> T:
    """As :func:`call_within`, without blocking the loop."""
    return await asyncio.wait_for(asyncio.wrap_future(start(call, name)), deadline_s)


def tamed(error: BaseException) -> Exception:
    """SystemExit would end the event loop, and StopIteration cannot pass through a future."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return RuntimeError(f"raised {error!r}")
