"""The list of drives, and finding one by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backy_core.machine import inventory
from backy_core.machine.inventory import DriveAbsent
from backy_core.machine.snapshot import Snapshot
from backy_core.sdk.errors import (
    Conflict,
    NotFound,
    SystemFailure,
)
from backy_core.sdk.models import DriveId, Signature
from backy_core.system.blocks import BlockDevice
from tests.fakes.block_devices import SIZE, disk, found_in, mounted, on


def test_what_counts_as_a_drive() -> None:
    found = found_in(
        on(disk("sda", "A"), "sda1"),
        on(disk("sdb", "B"), "md127", "raid1"),
        disk("nvme0n1", "N"),
        disk("loop0", type="loop"),
        disk("sr0", type="rom"),
        *(disk(name) for name in ("ram0", "zram0", "fd0", "zd16", "mmcblk0boot0", "mmcblk0rpmb")),
        disk("mmcblk0", "M"),
        disk("sdz", "Z", size=0),
        disk("bcache0", parents=("sdq",)),
    )
    assert [drive.name for drive in found] == ["sda", "sdb", "nvme0n1", "mmcblk0"]


def test_loop_devices_when_allowed() -> None:
    over_file = disk("loop0", type="loop", backing_file="/srv/a.img", parents=("sdz1",))
    over_drive = on(disk("sda", "A"), "loop1", "loop")
    found = found_in(over_file, over_drive, allow_loop=True)
    told = [(drive.name, drive.id.serial, drive.identified_by) for drive in found]
    assert told == [("loop0", "/srv/a.img", "file"), ("sda", "A", "serial")]
    assert [drive.name for drive in found_in(over_file, over_drive)] == ["sda"]


@pytest.mark.parametrize(
    ("device", "serial", "by"),
    [
        (disk("sda", " WD-1 ", wwn="0x5"), "WD-1", "serial"),
        (disk("sda", "", wwn="0x5", links=("ata-x",)), "0x5", "wwn"),
        (disk("sda", None, links=("ata-x", "wwn-y")), "ata-x", "link"),
        (disk("sda", None), "sda", "name"),
    ],
)
def test_what_a_drive_is_called(device: BlockDevice, serial: str, by: str) -> None:
    (drive,) = found_in(device)
    assert drive.id == DriveId(serial=serial, wwn=device.wwn, size=SIZE)
    assert drive.identified_by == by


def test_a_drive_known_by_its_kernel_name_is_never_the_one_meant() -> None:
    (drive,) = found_in(disk("sda", None))
    with pytest.raises(DriveAbsent):
        inventory.resolve([drive], drive.id)
    assert "sda has no serial number" in str(inventory.unidentified_because(drive))


def test_the_system_on_a_loop_device_keeps_the_drive_below() -> None:
    below_file = on(disk("sda", "A"), "loop0", "loop", majmin="7:0", backing_file="/host/root.img")
    below_drive = on(disk("sdb", "B"), "loop1", "loop", majmin="7:1")
    found = found_in(below_file, below_drive, mounts=(mounted("/", "7:0"),))
    assert [drive.system for drive in found] == [True, False]
    found = found_in(below_file, below_drive, swaps=frozenset({"loop1"}))
    assert [drive.system for drive in found] == [False, True]


def test_links_are_given_as_paths_and_as_a_bare_name() -> None:
    (drive,) = found_in(disk("sda", "A", links=("ata-A", "wwn-1")))
    assert drive.by_id == ("/dev/disk/by-id/ata-A", "/dev/disk/by-id/wwn-1")
    assert (drive.id_link, drive.node) == ("ata-A", "/dev/sda")


def test_shared_serials_are_ambiguous_used_drives_counted() -> None:
    used = on(disk("sdb", "S"), "sdb1", majmin="8:99")
    found = found_in(disk("sda", "S"), used, disk("sdc", "T"), mounts=(mounted("/", "8:99"),))
    assert [(d.ambiguous, d.system) for d in found] == [(True, False), (True, True), (False, False)]


@pytest.mark.parametrize("path", ["/", "/boot", "/boot/efi", "/usr", "/var"])
def test_the_system_drive_through_a_stack(path: str) -> None:
    part = on(disk("sda1", type="part", parents=("sda",)), "md1", "raid1", majmin="9:1")
    stacked = replace(disk("sda", "A"), children=(part,))
    lvm = on(disk("sdb", "B"), "dm-0", "lvm", majmin="253:0")
    found = found_in(stacked, lvm, disk("sdc", "C"), mounts=(mounted(path, "9:1"),))
    assert [drive.system for drive in found] == [True, False, False]
    found = found_in(stacked, lvm, mounts=(mounted(path, source="/dev/dm-0"),))
    assert [drive.system for drive in found] == [False, True]


def test_a_mount_elsewhere_is_not_the_system() -> None:
    (drive,) = found_in(disk("sda", majmin="8:5"), mounts=(mounted("/mnt/data", "8:5"),))
    assert not drive.system


def test_swap_is_the_system() -> None:
    found = found_in(on(disk("sda"), "sda2"), disk("sdb"), swaps=frozenset({"sda2"}))
    assert [drive.system for drive in found] == [True, False]


def test_a_disk_that_joined_a_mounted_btrfs_unseen_by_udev_is_not_available() -> None:
    """udev may miss a device that was closed while it looked at it; a probe does not."""
    devices = (disk("sda", "A", fstype="btrfs", uuid="u"), disk("sdb", "B"), disk("sdc", "C"))
    joined = Signature(device="sdb", type="btrfs", uuid="u")
    other = Signature(device="sdc", type="btrfs", uuid="other")
    seen = Snapshot(
        drives=found_in(*devices),
        devices=devices,
        mounts=(mounted("/srv", "0:30", "/dev/sda", "btrfs"),),
        signatures={"sdb": (joined,), "sdc": (other,)},
    )
    on = [bool(seen.mounts_on(drive)) for drive in seen.drives]
    assert on == [True, True, False]


def test_all_drives_of_a_system_on_btrfs() -> None:
    found = found_in(
        disk("sda", fstype="btrfs", uuid="u"),
        disk("sdb", fstype="btrfs", uuid="u"),
        disk("sdc", fstype="btrfs", uuid="other"),
        mounts=(mounted("/", "0:30", "/dev/sda", "btrfs"),),
    )
    assert [drive.system for drive in found] == [True, True, False]


def test_a_system_on_zfs_keeps_every_zfs_drive() -> None:
    found = found_in(
        on(disk("sda"), "sda1", fstype="zfs_member", uuid="1"),
        disk("sdb"),
        mounts=(mounted("/", "0:30", "rpool/ROOT", "zfs"),),
    )
    assert [drive.system for drive in found] == [True, False]


@pytest.mark.parametrize(
    "pattern", ["WD-*", "sda", "/dev/sda", "ata-WD-1", "/dev/disk/by-id/ata-*", "wd-1"]
)
def test_exclusion(pattern: str) -> None:
    (drive,) = found_in(disk("sda", "WD-1", links=("ata-WD-1",)), exclude_drives=(pattern,))
    assert drive.excluded is (pattern != "wd-1")


def test_problems() -> None:
    read_only, leg, leg_by_child, good = found_in(
        disk("sda", ro=True),
        disk("sdb", multipath_leg=True),
        on(disk("sdc"), "dm-0", "mpath"),
        disk("sdd"),
    )
    assert read_only.problem == "it is read-only"
    assert leg.problem is not None and leg.problem == leg_by_child.problem
    assert good.problem is None


def test_find() -> None:
    found = found_in(disk("sda", "A"), disk("sdb", "B"), disk("sdc", "B"))
    assert inventory.find(found, "A").name == "sda"
    with pytest.raises(NotFound, match="no drive C"):
        inventory.find(found, "C")
    with pytest.raises(Conflict, match="2 drives have the serial B") as caught:
        inventory.find(found, "B")
    assert "/dev/sdb, /dev/sdc" in str(caught.value)


def test_find_by_path(tmp_path: Path) -> None:
    found = found_in(disk("sdx9", "A", links=("ata-A",)))
    assert inventory.find_by_path(found, "/dev/disk/by-id/ata-A").name == "sdx9"
    assert inventory.find_by_path(found, "/dev/sdx9").name == "sdx9"
    (tmp_path / "link").symlink_to("/dev/sdx9")
    # Whatever else it leads through may lie on a disk that hangs.
    for path in (str(tmp_path / "link"), "/dev/sdy", "/dev/disk/../sdx9"):
        with pytest.raises(NotFound):
            inventory.find_by_path(found, path)


def test_resolve_follows_a_renumbered_drive() -> None:
    wanted = DriveId(serial="A", wwn="0x1", size=SIZE)
    (drive,) = found_in(disk("sdq", "A", wwn="0x1"))
    assert inventory.resolve([drive], wanted) is drive
    (without_wwn,) = found_in(disk("sdq", "A"))
    assert inventory.resolve([without_wwn], wanted) is without_wwn


@pytest.mark.parametrize("facts", [{"wwn": "0x2"}, {"size": SIZE + 512}])
def test_resolve_refuses_an_impostor(facts: dict[str, Any]) -> None:
    wanted = DriveId(serial="A", wwn="0x1", size=SIZE)
    found = found_in(disk("sda", "A", **{"wwn": "0x1", **facts}))
    with pytest.raises(SystemFailure, match="Another drive has the serial") as caught:
        inventory.resolve(found, wanted)
    assert not isinstance(caught.value, DriveAbsent)


def test_resolve_absent_and_twins() -> None:
    wanted = DriveId(serial="A", wwn="0x1", size=SIZE)
    with pytest.raises(DriveAbsent, match="A is not connected"):
        inventory.resolve((), wanted)
    with pytest.raises(SystemFailure, match="2 drives"):
        inventory.resolve(found_in(disk("sda", "A"), disk("sdb", "A")), wanted)
    twins = found_in(disk("sda", "A", wwn="0x1"), disk("sdb", "A", wwn="0x2"))
    assert inventory.resolve(twins, wanted).name == "sda", "namespaces of one NVMe share a serial"
