"""Calls in threads of their own, and who waits for them."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest

from backy_core.operations.journal import Closed, JournalEntry
from backy_core.system.own_files import OwnFile
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


async def test_of_one_thing_only_so_many_questions_are_under_way() -> None:
    release, begun = threading.Event(), list[int]()

    def call() -> int:
        begun.append(1)
        release.wait(10)
        return 7

    turns = [asyncio.create_task(in_thread(call, "busy", 5)) for _ in range(12)]
    await asyncio.sleep(0.05)
    assert len(begun) == 4 and not any(task.done() for task in turns), "they wait"
    assert await in_thread(lambda: 1, "another", 1) == 1
    release.set()
    assert await asyncio.gather(*turns) == [7] * 12


async def test_who_waits_for_a_turn_waits_no_longer_than_the_deadline() -> None:
    release = threading.Event()
    asked = [in_thread(lambda: release.wait(10), "stuck", 0.1) for _ in range(20)]
    done = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 2)
    assert all(isinstance(each, TimeoutError) for each in done)
    release.set()


async def test_nobody_waits_for_a_turn_after_questions_that_hang() -> None:
    release = threading.Event()
    for _ in range(4):
        with pytest.raises(TimeoutError):
            await in_thread(lambda: release.wait(10), "dead", 0.01)
    await asyncio.sleep(1.0)
    asked_at = time.monotonic()
    with pytest.raises(TimeoutError):
        await in_thread(lambda: release.wait(10), "dead", 1.0)
    assert time.monotonic() - asked_at < 0.9, "refused at once"
    release.set()


async def test_the_journal_is_written_while_every_question_hangs(tmp_path: Path) -> None:
    release = threading.Event()
    asked = [
        asyncio.create_task(in_thread(lambda: release.wait(10), f"statvfs /mnt/{number}", 10))
        for number in range(100)
    ]
    await asyncio.sleep(0.01)
    entry = JournalEntry(OwnFile.at(tmp_path / "entry.jsonl"), [])
    async with asyncio.timeout(2):
        await entry.append(Closed())
    assert entry.closed and (tmp_path / "entry.jsonl").read_text()
    release.set()
    await asyncio.gather(*asked)
