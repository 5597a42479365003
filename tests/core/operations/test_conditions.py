"""Conditions judged by what is on a device, here real images in files."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backy_core.operations.conditions import Conditions
from backy_core.sdk.errors import SystemFailure
from backy_core.sdk.models import PoolReport
from backy_core.sdk.plan import Bears, Blank, Condition, PoolDevice, PoolIs
from backy_core.system.clock import SystemClock
from backy_core.system.machine import LINUX

UUID = "0d6c9f64-1111-4222-8333-94f1c0f3a001"
MAKE = {
    "ext4": f"mkfs.ext4 -qF -U {UUID} $IMAGE",
    "gpt": "printf 'label: gpt\\n,1M\\n' | sfdisk -q $IMAGE",
    "nothing": ":",
}


class _Image:
    """A resolver that knows of one device."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def target(self, *_: object) -> str:
        return str(self._path)


async def unmet(content: str, condition: Condition, path: Path) -> str | None:
    image = path / "md127"
    image.write_bytes(bytes(8 << 20))
    environment = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin", "IMAGE": str(image)}
    subprocess.run(["sh", "-ec", MAKE[content]], env=environment, check=True)
    nobody: Any = None
    resolver: Any = _Image(image)
    return await Conditions(nobody, resolver, LINUX, SystemClock()).unmet((condition,), nobody)


@pytest.mark.parametrize(
    ("content", "condition", "seen"),
    [
        ("ext4", Bears(on=PoolDevice(), type="ext4", uuid=UUID), None),
        ("ext4", Bears(on=PoolDevice(), type="ext4"), None),
        ("gpt", Bears(on=PoolDevice(), type="gpt"), None),
        ("ext4", Bears(on=PoolDevice(), type="ext4", uuid=UUID[::-1]), "it holds .*ext4.*, not"),
        ("ext4", Bears(on=PoolDevice(), type="xfs"), "it holds .*ext4.*, not xfs"),
        ("nothing", Bears(on=PoolDevice(), type="ext4"), "it holds nothing, not ext4"),
        ("nothing", Blank(on=PoolDevice()), None),
        ("gpt", Blank(on=PoolDevice()), "it still holds .*gpt"),
    ],
)
async def test_what_a_device_bears(
    content: str, condition: Condition, seen: str | None, tmp_path: Path
) -> None:
    answer = await unmet(content, condition, tmp_path)
    assert (answer is None) if seen is None else re.search(seen, answer or "")


class _Udev:
    """A kernel whose udev ends its work when it is waited for, or never."""

    def __init__(self, *, ends: bool) -> None:
        self._ends = ends
        self.asked = 0

    async def udev_settled(self, within_s: float) -> bool:
        self.asked += 1
        return self._ends


class _Pool:
    """A resolver of a pool that is there at some looks, and not at those after the last."""

    def __init__(self, there: Sequence[bool]) -> None:
        self._there = list(there)
        self.looks = 0

    async def report(self, *_: object, fresh: bool) -> PoolReport | None:
        self.looks += 1
        there = self._there.pop(0) if self._there else False
        if not there:
            return None
        return PoolReport(
            native_id=UUID,
            guid=UUID,
            level="raid1",
            presence="active",
            health="active",
            expected_members=1,
            members=(),
        )


class _Time(SystemClock):
    """Sleeps at once, and knows for how long."""

    slept = 0.0

    def monotonic(self) -> float:
        return self.slept

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds


async def wait(pool: _Pool, udev: _Udev, *, within_s: float = 5) -> float:
    """How long it was waited for the pool to be gone for a second."""
    nobody: Any = None
    resolver: Any = pool
    kernel: Any = udev
    clock = _Time()
    conditions = Conditions(nobody, resolver, replace(LINUX, kernel=kernel), clock)
    gone = (PoolIs(presence="absent"),)
    await conditions.wait(gone, nobody, within_s=within_s, stable_s=1)
    return clock.slept


async def test_what_udev_has_done_with_is_stable() -> None:
    pool, udev = _Pool([]), _Udev(ends=True)
    assert await wait(pool, udev) == 0
    assert (pool.looks, udev.asked) == (1, 1)


async def test_where_udev_tells_nothing_it_is_watched() -> None:
    pool = _Pool([])
    assert await wait(pool, _Udev(ends=False)) >= 1
    assert pool.looks > 2


async def test_what_udev_brings_back_is_waited_for_again() -> None:
    pool, udev = _Pool([True, True]), _Udev(ends=True)
    assert await wait(pool, udev) > 0
    assert (pool.looks, udev.asked) == (3, 3)


async def test_what_udev_brings_back_for_good_is_told() -> None:
    with pytest.raises(SystemFailure, match="did not appear"):
        await wait(_Pool([True] * 99), _Udev(ends=True), within_s=1)
