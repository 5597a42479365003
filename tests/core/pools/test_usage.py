"""How full pools are: few questions, and one dead disk holds up only itself."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from backy_core.pools.reading.usage import UsageReader
from backy_core.system import mounts, usage
from tests.fakes.clock import FakeClock
from tests.fakes.parts import altered

PATHS = ("/pools/a", "/pools/dead", "/pools/z")


class Disks:
    """Answers at once, but for the dead one."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.threads: set[int] = set()
        self.dead: set[str] = set()
        self.used = 1
        self.released = threading.Event()

    def statvfs(self, path: str) -> Any:
        self.asked.append(path)
        self.threads.add(threading.get_ident())
        if path in self.dead:
            self.released.wait(30)
            raise OSError("gone")
        return SimpleNamespace(f_frsize=1, f_blocks=10, f_bfree=10 - self.used, f_bavail=5)


@pytest.fixture
def disks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disks]:
    made = Disks()
    monkeypatch.setattr(os, "statvfs", made.statvfs)
    yield made
    made.released.set()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def reader(disks: Disks, clock: FakeClock) -> UsageReader:
    """Gives a disk up sooner than the agent does."""
    one = partial(usage.filesystem_usage, deadline_s=0.2)
    several = partial(usage.filesystem_usages, deadline_s=0.2)
    return UsageReader(altered(mounts, filesystem_usage=one, filesystem_usages=several), clock)


async def test_all_are_asked_in_one_thread_and_then_remembered(
    disks: Disks, reader: UsageReader
) -> None:
    first = await reader.read(PATHS)
    assert set(first) == set(PATHS) and first["/pools/a"].used == 1
    assert await reader.read(PATHS) == first
    assert sorted(disks.asked) == sorted(PATHS) and len(disks.threads) == 1


async def test_callers_at_the_same_moment_share_the_question(
    disks: Disks, reader: UsageReader
) -> None:
    await asyncio.gather(*(reader.read(PATHS) for _ in range(20)))
    assert len(disks.asked) == len(PATHS)


async def test_what_changed_is_seen_and_what_did_not_stays_the_same_object(
    disks: Disks, reader: UsageReader, clock: FakeClock
) -> None:
    first = (await reader.read(PATHS))["/pools/a"]
    clock.passed += 2
    assert (await reader.read(PATHS))["/pools/a"] is first
    disks.used = 2
    clock.passed += 2
    assert (await reader.read(PATHS))["/pools/a"].used == 2


async def test_a_dead_disk_holds_up_only_itself(
    disks: Disks, reader: UsageReader, clock: FakeClock
) -> None:
    before = await reader.read(PATHS)
    disks.dead, disks.used = {"/pools/dead"}, 3
    clock.passed += 2
    await reader.read(PATHS)
    clock.passed += 2
    after = await reader.read(PATHS)
    assert [after[path].used for path in PATHS] == [3, 1, 3]
    assert after["/pools/dead"] is before["/pools/dead"]
    disks.released.set()
    disks.dead = set()
    clock.passed += 2
    assert [it.used for it in (await reader.read(PATHS)).values()] == [3, 3, 3]


async def test_who_cannot_wait_gets_what_was_known(
    disks: Disks, reader: UsageReader, clock: FakeClock
) -> None:
    before = await reader.read(PATHS)
    disks.dead = {"/pools/dead"}
    clock.passed += 2
    began = time.monotonic()
    after = await reader.read(PATHS, within_s=0.02)
    assert time.monotonic() - began < 0.15
    assert after["/pools/dead"] is before["/pools/dead"]
    disks.released.set()


async def test_a_path_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    reader = UsageReader(mounts, FakeClock())
    assert set(await reader.read([str(tmp_path), "/no/such/path"])) == {str(tmp_path)}
