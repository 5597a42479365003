"""Calls in threads of their own, and who waits for them."""

from __future__ import annotations

import asyncio
import threading

import pytest

from backy_core.system.threads import in_thread, to_the_end


async def test_what_must_end_is_waited_for_whoever_is_cancelled() -> None:
    release, ended = threading.Event(), threading.Event()

    def call() -> None:
        release.wait(10)
        ended.set()

    waiting = asyncio.create_task(to_the_end(call, "mount"))
    for _ in range(2):
        await asyncio.sleep(0.02)
        waiting.cancel()
    await asyncio.sleep(0.02)
    assert not waiting.done()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()


async def test_answers_and_errors_come_through() -> None:
    assert await to_the_end(lambda: 7, "seven") == 7
    assert await in_thread(lambda: 7, "seven", 5) == 7
    with pytest.raises(ZeroDivisionError):
        await to_the_end(lambda: 1 // 0, "nothing")


async def test_one_that_hangs_is_given_up() -> None:
    release = threading.Event()
    with pytest.raises(TimeoutError):
        await in_thread(lambda: release.wait(10), "hangs", 0.02)
    release.set()
