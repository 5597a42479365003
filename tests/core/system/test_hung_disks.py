"""A disk that does not answer delays only requests about itself."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from backy_core.machine.signature_cache import SignatureCache
from backy_core.system import blocks, signatures
from backy_core.system.block_devices import BlockDevice
from backy_core.system.signatures import Probed
from tests.fakes.clock import FakeClock
from tests.fakes.parts import altered


async def _turns_while(work: asyncio.Task[None]) -> int:
    turns = 0
    while not work.done() and turns < 20:
        await asyncio.sleep(0.01)
        turns += 1
    return turns


@pytest.mark.parametrize("how", ["exclusively", "lock"])
async def test_an_open_that_hangs_leaves_the_event_loop_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    node = tmp_path / "disk"
    node.touch()
    answered = threading.Event()
    really_open = os.open

    def hang(path: str, *flags: int) -> int:
        if str(path) == str(node):
            answered.wait(5)
        return really_open(path, *flags)

    monkeypatch.setattr(os, "open", hang)

    async def work() -> None:
        if how == "exclusively":
            async with blocks.exclusively(str(node)):
                return
        async with blocks.disk_lock(str(node), 1):
            return

    task = asyncio.create_task(work())
    assert await _turns_while(task) == 20, "the loop went round while the open hung"
    answered.set()
    await task


def _device(name: str) -> BlockDevice:
    return BlockDevice(name=name, path=f"/dev/{name}", type="disk", size=1, majmin=name, diskseq=1)


async def test_a_disk_whose_probe_hung_is_not_waited_for_at_each_look() -> None:
    asked: list[tuple[str, ...]] = []
    clock = FakeClock()

    async def probe(nodes: Sequence[str]) -> Probed:
        asked.append(tuple(nodes))
        hung = [node for node in nodes if node == "/dev/hung"]
        clock.passed += 40 * len(hung)
        return Probed(
            {Path(node).name: () for node in nodes if node not in hung},
            {"hung": "it did not end within 20 s"} if hung else {},
        )

    cache = SignatureCache(altered(signatures, probe_each=probe), clock)
    devices = [_device("hung"), _device("good")]
    for _ in range(2):
        seen = await cache.look(devices)
        assert seen.failed == {"hung": "it did not end within 20 s"}
        assert seen.found == {"good": ()}
    assert asked == [("/dev/hung", "/dev/good"), ()]

    cache.forget(["hung"])
    await cache.look(devices)
    assert asked[-1] == ("/dev/hung",), "asked for by name"
    clock.passed += 61
    await cache.look(devices)
    assert asked[-1] == ("/dev/hung",), "and again after a minute"
