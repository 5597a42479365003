"""What lies on a drive is looked up in an index, which no later snapshot takes over by mistake."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from backy_core.machine import snapshot as snapshots
from backy_core.machine.inventory import Drive
from backy_core.machine.snapshot import Snapshot
from backy_core.sdk.models import DriveId, MemberReport
from backy_core.system import occupied
from backy_core.system.mounts import MountEntry
from tests.core.machine.watched import disk, report

DEVICES = tuple(disk(f"sd{letter}", letter) for letter in "abcdefgh")
DRIVES = tuple(Drive(DriveId(serial=device.name, size=device.size), device) for device in DEVICES)
MOUNTS = tuple(
    MountEntry(device.majmin, "/", f"/mnt/{device.name}", frozenset(), "ext4", "none")
    for device in DEVICES[:3]
)


def member_on(drive: Drive, **facts: Any) -> MemberReport:
    return MemberReport(device=drive.name, drive=drive.id, state="active", **facts)


def test_each_mount_is_traced_to_its_devices_once(monkeypatch: pytest.MonkeyPatch) -> None:
    traced: list[str] = []

    def devices_of(entry: MountEntry, *rest: Any) -> Iterator[str]:
        traced.append(entry.path)
        return occupied.devices_of(entry, *rest)

    monkeypatch.setattr(snapshots, "devices_of", devices_of)
    seen = Snapshot(drives=DRIVES, devices=DEVICES, mounts=MOUNTS)
    assert [seen.mounts_on(drive) for drive in DRIVES[:4]] == [*((m,) for m in MOUNTS), ()]
    assert traced == [mount.path for mount in MOUNTS]


def test_the_mounts_on_a_drive_are_those_of_this_snapshot() -> None:
    before = Snapshot(drives=DRIVES, devices=DEVICES, mounts=MOUNTS)
    assert before.mounts_on(DRIVES[0]) == MOUNTS[:1]
    assert replace(before, mounts=()).following(before).mounts_on(DRIVES[0]) == ()
    moved = (replace(DEVICES[0], majmin="9:9"), *DEVICES[1:])
    assert replace(before, devices=moved).following(before).mounts_on(DRIVES[0]) == ()


def test_the_pools_on_a_drive_are_those_of_this_snapshot() -> None:
    first, second = DRIVES[:2]
    twice = report(members=(member_on(first, slot=0), member_on(first, slot=1)))
    before = Snapshot(drives=DRIVES, reports={"fake": (twice,)})
    assert before.pools_on(first.id) == (("fake", twice),)
    assert before.pools_on(second.id) == ()
    moved = report(members=(member_on(second),))
    after = replace(before, reports={"fake": (moved,)}).following(before)
    assert (after.pools_on(first.id), after.pools_on(second.id)) == ((), (("fake", moved),))
