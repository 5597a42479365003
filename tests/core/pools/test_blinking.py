"""A drive's light blinks by reading: in bursts, never without end."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from backy_core.machine.inventory import Drive
from backy_core.pools import blinking
from backy_core.pools.blinking import Blinking
from backy_core.sdk.errors import NotFound
from backy_core.sdk.models import DriveId
from backy_core.system import contents
from backy_core.system.block_devices import BlockDevice
from backy_core.system.machine import LINUX
from tests.fakes.agent import Bench
from tests.fakes.clock import FakeClock, FakeThreads
from tests.fakes.parts import altered

SIZE = 1 << 40
DRIVE = Drive(DriveId(serial="S1", size=SIZE), BlockDevice("sdx", "/dev/sdx", "disk", SIZE, "8:1"))


class Reads:
    """What was read; a drive that answers as fast as a call can."""

    def __init__(self) -> None:
        self.places: list[int] = []
        self.lengths: set[int] = set()
        self.gone = False

    def read_at(self, node: str, offset: int, length: int) -> bytes:
        if self.gone:
            raise OSError("no such device")
        assert node == "/dev/sdx" and 0 <= offset <= SIZE - length
        self.places.append(offset)
        self.lengths.add(length)
        return bytes(length)


@pytest.fixture
def reads() -> Reads:
    return Reads()


@pytest.fixture
def lights(reads: Reads) -> Blinking:
    part: Any = altered(contents, read_at=reads.read_at)
    return Blinking(replace(LINUX, contents=part, threads=FakeThreads()), FakeClock())


async def ended(lights: Blinking) -> None:
    until = time.monotonic() + 10
    while lights._tasks:
        assert time.monotonic() < until, "it blinks without end"
        await asyncio.sleep(0.001)


async def test_it_reads_here_and_there_and_then_no_more(lights: Blinking, reads: Reads) -> None:
    lights.begin(DRIVE)
    await ended(lights)
    most = blinking.BURSTS * blinking.READS_OF_A_BURST
    assert most // 2 < len(reads.places) <= most
    assert len(set(reads.places)) > len(reads.places) // 2, "a cache would answer"
    assert reads.lengths == {blinking.READ_BYTES}
    assert len(reads.places) * blinking.READ_BYTES <= 30 << 20


async def test_it_blinks_once_at_a_time(lights: Blinking, reads: Reads) -> None:
    for _ in range(3):
        lights.begin(DRIVE)
    await ended(lights)
    assert len(reads.places) <= blinking.BURSTS * blinking.READS_OF_A_BURST
    reads.places.clear()
    lights.begin(DRIVE)
    await ended(lights)
    assert reads.places


async def test_it_ends_with_a_drive_that_is_gone(lights: Blinking, reads: Reads) -> None:
    reads.gone = True
    lights.begin(DRIVE)
    await ended(lights)
    assert reads.places == []


async def test_only_connected_drives_blink(bench: Bench) -> None:
    agent = await bench.start()
    assert await agent.drives_service.blink("A") == pytest.approx(9.6)
    with pytest.raises(NotFound):
        await agent.drives_service.blink("nowhere")
