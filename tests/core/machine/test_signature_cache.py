"""Superblocks are read once, until something may have changed them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from backy_core.machine.signature_cache import SignatureCache
from backy_core.sdk.models import Signature
from backy_core.system import signatures
from backy_core.system.block_devices import BlockDevice
from backy_core.system.clock import SystemClock
from backy_core.system.probing import Probed
from tests.fakes.parts import altered

STAMP = Signature(device="sda", type="linux_raid_member", offset=4096)
DRIVE = BlockDevice("sda", "/dev/sda", "disk", 1 << 30, "8:0", diskseq=1)
ARRAY = BlockDevice("md0", "/dev/md0", "raid0", 1 << 30, "9:0", diskseq=7)
RUNNING = replace(DRIVE, children=(ARRAY,))


class Drive:
    """A drive with this text on it, which counts how often it is read."""

    def __init__(self, text: bytes | None = b"superblock") -> None:
        self.text = text
        self.reads = 0
        self.meanwhile: Callable[[], None] = lambda: None

    async def read(self) -> bytes | None:
        self.reads += 1
        text = self.text
        self.meanwhile()
        return text


@pytest.fixture
async def cache() -> SignatureCache:
    async def probe_each(nodes: object) -> Probed:
        return Probed({"sda": (STAMP,)})

    made = SignatureCache(altered(signatures, probe_each=probe_each), SystemClock())
    await made.look([RUNNING])
    return made


async def test_one_is_read_once(cache: SignatureCache) -> None:
    drive = Drive()
    for _ in range(3):
        await cache.look([RUNNING])
        assert await cache.superblock(STAMP, 256, drive.read) == b"superblock"
    assert drive.reads == 1
    await cache.superblock(STAMP, 512, drive.read)
    assert drive.reads == 2


@pytest.mark.parametrize(
    "after",
    [
        DRIVE,
        replace(DRIVE, children=(replace(ARRAY, diskseq=8),)),
        replace(RUNNING, diskseq=2),
    ],
    ids=["stopped", "another incarnation", "another drive"],
)
async def test_a_change_of_the_array_is_read(cache: SignatureCache, after: BlockDevice) -> None:
    drive = Drive()
    await cache.superblock(STAMP, 256, drive.read)
    drive.text = b"written by the kernel"
    await cache.look([after])
    assert await cache.superblock(STAMP, 256, drive.read) == drive.text


@pytest.mark.parametrize("name", ["sda", ""])
async def test_a_write_is_read(cache: SignatureCache, name: str) -> None:
    drive = Drive()
    await cache.superblock(STAMP, 256, drive.read)
    drive.text = b"written by a program"
    cache.forget([name])
    await cache.look([RUNNING])
    assert await cache.superblock(STAMP, 256, drive.read) == drive.text


async def test_a_write_during_the_read_wins(cache: SignatureCache) -> None:
    drive = Drive()
    drive.meanwhile = lambda: cache.forget(["sda"])
    await cache.superblock(STAMP, 256, drive.read)
    drive.text = b"written meanwhile"
    await cache.look([RUNNING])
    assert await cache.superblock(STAMP, 256, drive.read) == drive.text


async def test_no_answer_is_not_remembered(cache: SignatureCache) -> None:
    drive = Drive(None)
    assert await cache.superblock(STAMP, 256, drive.read) is None
    drive.text = b"superblock"
    assert await cache.superblock(STAMP, 256, drive.read) == b"superblock"
