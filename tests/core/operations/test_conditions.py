"""Conditions judged by what is on a device, here real images in files."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from backy_core.operations.conditions import Conditions
from backy_core.sdk.plan import Bears, Blank, Condition, PoolDevice
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
