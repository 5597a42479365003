"""The observer follows what happens on the machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from backy_core.config.settings import Settings
from backy_core.machine.observer import Observer
from backy_core.plugins.loading import load_backends
from backy_core.pools.admission.drives import unavailable_because
from backy_core.sdk.errors import DriveInUse, DriveNotEmpty
from backy_core.system.clock import SystemClock
from backy_core.system.machine import LINUX
from backy_core.system.udev import KernelEvents
from tests.kernel.system.inside.guest import (
    MOUNT,
    UUID,
    drives,
    in_thread,
    mirror,
    mounted,
    settle,
    sh,
    unplugged,
    until,
)


@asynccontextmanager
async def observing(**settings: Any) -> AsyncIterator[Observer]:
    observer = Observer(Settings(**settings), load_backends(), LINUX, SystemClock(), KernelEvents())
    assert "mdadm" in load_backends().backends
    await observer.start()
    yield observer
    await observer.stop()


def presence(observer: Observer) -> str | None:
    report = observer.snapshot.report_for("mdadm", UUID)
    return report.presence if report else None


async def test_the_observer_follows_an_array() -> None:
    first, second = drives()[:2]
    async with observing() as observer:
        assert observer.snapshot.reports["mdadm"] == ()
        assert {d.id.serial for d in observer.snapshot.drives} >= {first.serial, second.serial}
        await asyncio.to_thread(mirror, first.path, second.path)
        await until(lambda: presence(observer) == "active", "the array by events")
        report = observer.snapshot.report_for("mdadm", UUID)
        assert report is not None
        serials = {member.drive.serial for member in report.members if member.drive}
        assert serials == {first.serial, second.serial}
        drive = observer.snapshot.drive_of(first.name)
        assert drive is not None
        error = unavailable_because(drive, observer.snapshot, pools={})
        assert isinstance(error, DriveInUse) and "mdadm pool" in error.message
        await in_thread("mdadm --stop /dev/md/test")
        await until(lambda: presence(observer) == "stopped", "the stop by events")
        error = unavailable_because(drive, observer.snapshot, pools={})
        assert error is not None
        fresh = await observer.inspect("mdadm")
        assert [each.presence for each in fresh] == ["stopped"]


async def test_the_observer_sees_writes_of_others_and_an_unplug() -> None:
    first, *_, last = drives()
    async with observing() as observer:
        drive = observer.snapshot.drive_of(first.name)
        assert drive is not None
        assert unavailable_because(drive, observer.snapshot, pools={}) is None
        await in_thread(f"mkfs.ext4 -qF {first.path}")
        await until(lambda: observer.snapshot.signatures_of(drive), "the filesystem by events")
        error = unavailable_because(drive, observer.snapshot, pools={})
        assert isinstance(error, DriveNotEmpty) and "ext4" in error.message
        assert (
            unavailable_because(drive, observer.snapshot, pools={}, allow_signatures=True) is None
        )
        with unplugged(last):
            serials = {d.id.serial for d in observer.snapshot.drives}
            await until(
                lambda: last.serial not in {d.id.serial for d in observer.snapshot.drives},
                "the unplug by events",
            )
            assert last.serial in serials
        await until(
            lambda: last.serial in {d.id.serial for d in observer.snapshot.drives}, "the plug"
        )
        settled = observer.snapshot.drives
        assert (await observer.refresh()).drives == settled


async def test_a_mounted_drive_is_not_available() -> None:
    with mounted("btrfs") as device:
        second = drives()[1]
        sh(f"btrfs -q device add -f {second.path} {MOUNT}")
        settle()
        async with observing() as observer:
            for name in (device.name, second.name):
                # As an admission looks: udev may never tell that the second disk joined.
                snapshot = await observer.refresh(fresh_signatures_of=[name])
                drive = snapshot.drive_of(name)
                assert drive is not None
                error = unavailable_because(drive, snapshot, pools={}, allow_signatures=True)
                assert isinstance(error, DriveInUse), name
                assert f"mounted at {MOUNT}" in error.message


async def test_no_process_is_started_while_nothing_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[object] = []
    real = asyncio.create_subprocess_exec

    async def counted(*argv: str, **options: Any) -> asyncio.subprocess.Process:
        started.append(argv)
        return await real(*argv, **options)

    async with observing() as observer:
        settle()
        await observer.refresh()
        await asyncio.sleep(1)
        monkeypatch.setattr(asyncio, "create_subprocess_exec", counted)
        began = time.monotonic()
        for _ in range(5):
            await observer.refresh()
        print(f"\na look without changes takes {(time.monotonic() - began) / 5 * 1000:.1f} ms")
        assert started == []
