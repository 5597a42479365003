"""Pools that bring their own filesystem: whose a mount is, and on which drives it lies."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backy_core.machine.snapshot import Snapshot
from backy_core.sdk.models import PoolReport, Signature
from backy_core.system.block_devices import BlockDevice
from backy_core.system.mounts import MountEntry, is_of_pool
from backy_core.system.occupied import devices_of
from backy_core.system.wipe import _Brief

NOSUID = frozenset({"rw", "nosuid", "nodev"})
ZFS = MountEntry("0:40", "/", "/mnt/pool", NOSUID, "zfs", "backy-1")
FUSE = MountEntry("0:41", "/", "/mnt/other", NOSUID, "fuse.zfs", "backy-2/child")
MD = MountEntry("9:127", "/", "/mnt/md", NOSUID, "ext4", "/dev/md127")


def report(source: str | None, device: str | None = None) -> PoolReport:
    return PoolReport(
        native_id="1",
        guid=None,
        level="mirror",
        presence="active",
        health="active",
        device=device,
        source=source,
        expected_members=0,
        members=(),
    )


def member(name: str, label: str | None) -> BlockDevice:
    raw = {} if label is None else {"ID_FS_LABEL": label}
    return BlockDevice(
        name=name,
        path=f"/dev/{name}",
        type="disk",
        size=1 << 30,
        majmin=f"8:{ord(name[-1])}",
        fstype="zfs_member",
        uuid="4711",
        raw=raw,
    )


def test_a_mount_is_the_pools_by_its_source_alone() -> None:
    assert is_of_pool(ZFS, report("backy-1"))
    assert not is_of_pool(FUSE, report("backy-2"))
    assert not is_of_pool(MD, report("backy-1", device="md127"))
    assert is_of_pool(MD, report(None, device="md127"))
    assert not is_of_pool(ZFS, report(None))
    assert not is_of_pool(ZFS, None)


def test_places_are_found_by_source() -> None:
    over = MountEntry("0:50", "/", "/mnt/pool", NOSUID, "tmpfs", "tmpfs")
    snapshot = Snapshot(mounts=(ZFS, FUSE, MD, over))
    assert snapshot.mounts_from("backy-1") == (ZFS,)
    assert (snapshot.covers(ZFS), snapshot.covers(MD)) == (over, None)
    assert snapshot.mounts_of(report(None, device="md127")) == (MD,)


def test_a_zfs_mount_lies_on_the_members_of_its_own_pool() -> None:
    devices = (member("sda", "backy-1"), member("sdb", "backy-2"), member("sdc", None))
    assert list(devices_of(ZFS, devices)) == ["sda", "sdc"]
    assert list(devices_of(FUSE, devices)) == ["sdb", "sdc"]


@pytest.mark.parametrize("told_by_udev", [True, False])
def test_a_btrfs_lies_on_each_disk_that_bears_it_whatever_udev_missed(told_by_udev: bool) -> None:
    facts = {"fstype": "btrfs", "uuid": "u"} if told_by_udev else {"fstype": None, "uuid": None}
    first = replace(member("sda", None), **facts)
    others = [replace(member(name, None), fstype=None, uuid=None) for name in ("sdb", "sdc")]
    probed = {
        name: (Signature(device=name, type="btrfs", uuid=uuid, offset=65600),)
        for name, uuid in (("sda", "u"), ("sdb", "u"), ("sdc", "of another"))
    }
    mount = MountEntry("0:60", "/", "/mnt/b", NOSUID, "btrfs", "/dev/sda")
    assert set(devices_of(mount, (first, *others), probed)) == {"sda", "sdb"}


def test_hundreds_of_erased_signatures_are_told_in_brief() -> None:
    told: list[str] = []
    brief = _Brief(told.append)
    for number in range(300):
        brief.line(f"erased {number}")
    brief.end()
    assert told[0] == "erased 0" and told[-1] == "# and 292 lines more" and len(told) == 9
