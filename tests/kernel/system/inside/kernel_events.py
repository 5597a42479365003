"""What the kernel announces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from backy_core.system.udev import KernelEvents
from tests.kernel.system.inside.guest import drives, in_thread, mirror, sh, unplugged, until


class Heard:
    def __init__(self) -> None:
        self.blocks: list[tuple[str, str]] = []
        self.mdstat = 0
        self.mounts = 0

    def on_block(self, action: str, name: str) -> None:
        self.blocks.append((action, name))

    def on_mdstat(self) -> None:
        self.mdstat += 1

    def on_mounts(self) -> None:
        self.mounts += 1


@asynccontextmanager
async def listening() -> AsyncIterator[Heard]:
    heard, events = Heard(), KernelEvents()
    events.start(asyncio.get_running_loop(), heard.on_block, heard.on_mdstat, heard.on_mounts)
    yield heard
    events.stop()
    before = (len(heard.blocks), heard.mdstat, heard.mounts)
    sh("mount -t tmpfs none /mnt; umount /mnt")
    await asyncio.sleep(0.2)
    assert (len(heard.blocks), heard.mdstat, heard.mounts) == before


async def test_mounts_are_announced() -> None:
    async with listening() as heard:
        await asyncio.sleep(0.3)
        quiet = heard.mounts
        await asyncio.sleep(0.3)
        assert heard.mounts == quiet
        await in_thread("mkdir -p /mnt/t; mount -t tmpfs none /mnt/t")
        await until(lambda: heard.mounts > quiet, "the mount")
        after = heard.mounts
        await in_thread("umount /mnt/t")
        await until(lambda: heard.mounts > after, "the unmount")


async def test_arrays_are_announced() -> None:
    first, second = drives()[:2]
    async with listening() as heard:
        await asyncio.to_thread(mirror, first.path, second.path)
        await until(lambda: heard.mdstat, "/proc/mdstat")
        await until(lambda: any(n.startswith("md") for _, n in heard.blocks), "the array")
        await until(lambda: {first.name, second.name} <= {n for _, n in heard.blocks}, "members")
        await asyncio.sleep(0.5)
        quiet = heard.mdstat
        await asyncio.sleep(0.5)
        assert heard.mdstat == quiet, "mdstat goes on announcing the same change"
        await in_thread("mdadm --stop /dev/md/test")
        await until(lambda: heard.mdstat > quiet, "the stop")


async def test_an_unplug_and_a_plug_are_announced() -> None:
    last = drives()[-1]
    async with listening() as heard:
        with unplugged(last):
            await until(lambda: ("remove", last.name) in heard.blocks, "the unplug")
        await until(lambda: any(action == "add" for action, _ in heard.blocks), "the plug")


async def test_an_unplug_is_announced_before_udev_has_handled_it() -> None:
    last = drives()[-1]
    async with listening() as heard:
        await in_thread("udevadm settle; udevadm control --stop-exec-queue")
        try:
            with unplugged(last):
                await until(lambda: ("remove", last.name) in heard.blocks, "the unplug")
        finally:
            await in_thread("udevadm control --start-exec-queue; udevadm settle")
