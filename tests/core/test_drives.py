"""The list of drives, finding one by name, and the reasons against using it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backy_core.config.settings import Settings
from backy_core.machine import inventory
from backy_core.machine.inventory import Drive, DriveAbsent
from backy_core.machine.snapshot import Snapshot
from backy_core.pools.admission import drives
from backy_core.sdk.errors import (
    BackyError,
    Conflict,
    DriveInUse,
    DriveNotEmpty,
    DriveProtected,
    NotFound,
    SystemFailure,
)
from backy_core.sdk.models import DriveId, MemberReport, PoolReport, Signature
from backy_core.store.protection import ProtectionStore
from backy_core.system.blocks import BlockDevice
from backy_core.system.mounts import MountEntry
from backy_core.system.own_files import OwnFile

SIZE = 1 << 30
GUID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"


def disk(name: str, serial: str | None = None, **facts: Any) -> BlockDevice:
    given = {"type": "disk", "size": SIZE, "majmin": f"8:{sum(name.encode())}", **facts}
    return BlockDevice(name=name, path=f"/dev/{name}", serial=serial, **given)


def on(parent: BlockDevice, name: str, kind: str = "part", **facts: Any) -> BlockDevice:
    """A device on ``parent``, which is returned with it as its child."""
    child = disk(name, type=kind, parents=(parent.name,), **facts)
    return replace(parent, children=(*parent.children, child))


def flat(*devices: BlockDevice) -> tuple[BlockDevice, ...]:
    return tuple({below.name: below for device in devices for below in device.walk()}.values())


def mounted(
    path: str, majmin: str = "0:0", source: str = "none", fstype: str = "ext4"
) -> MountEntry:
    return MountEntry(majmin, "/", path, frozenset(), fstype, source)


def found_in(
    *devices: BlockDevice,
    mounts: tuple[MountEntry, ...] = (),
    swaps: frozenset[str] = frozenset(),
    **settings: Any,
) -> tuple[Drive, ...]:
    return inventory.build_inventory(flat(*devices), mounts, swaps, Settings(**settings))


# Inventory


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


# Identity


def test_find() -> None:
    found = found_in(disk("sda", "A"), disk("sdb", "B"), disk("sdc", "B"))
    assert inventory.find(found, "A").name == "sda"
    with pytest.raises(NotFound, match="no drive C"):
        inventory.find(found, "C")
    with pytest.raises(Conflict, match="2 drives answer to the serial B") as caught:
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
    with pytest.raises(SystemFailure, match="Another drive answers") as caught:
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


# Guards


def report(**facts: Any) -> PoolReport:
    given: dict[str, Any] = {
        "native_id": "native",
        "guid": None,
        "level": "raid1",
        "presence": "active",
        "health": "active",
        "expected_members": 1,
        **facts,
    }
    member = MemberReport(device="sda", drive=DriveId(serial="A", size=SIZE), state="active")
    return PoolReport(members=(member,), **given)


def case(device: BlockDevice | None = None, **facts: Any) -> tuple[Drive, Snapshot]:
    device = device or disk("sda", "A", majmin="8:1")
    found = found_in(device, swaps=frozenset())
    return found[0], Snapshot(drives=found, devices=flat(device), **facts)


def why(given: tuple[Drive, Snapshot], **options: Any) -> BackyError | None:
    return drives.unavailable_because(*given, **{"pools": {}, **options})


EXT4 = Signature(device="sda", type="ext4", label="holiday")
MEMBER = Signature(device="sda", type="linux_raid_member")


def test_a_blank_free_drive_may_be_taken() -> None:
    assert why(case()) is None


def changed(**facts: Any) -> tuple[Drive, Snapshot]:
    drive, snapshot = case()
    return drive._replace(**facts), snapshot


REASONS: list[tuple[str, Callable[[], BackyError | None], type[BackyError], str]] = [
    ("protected", lambda: why(case(), protected={"A"}), DriveProtected, "A is protected"),
    ("excluded", lambda: why(changed(excluded=True)), DriveProtected, "excluded"),
    ("system", lambda: why(changed(system=True)), DriveProtected, "running system"),
    ("ambiguous", lambda: why(changed(ambiguous=True)), Conflict, "More than one drive"),
    (
        "quarantined",
        lambda: why(case(), quarantined={"A": "its undo failed"}),
        DriveInUse,
        "quarantined: its undo failed",
    ),
    ("by name", lambda: why(case(disk("sda"))), Conflict, "only its kernel name"),
    (
        "loop device mounted",
        lambda: why(
            case(
                on(disk("sda", "A"), "loop0", "loop", majmin="7:0"), mounts=(mounted("/l", "7:0"),)
            )
        ),
        DriveInUse,
        "at /l",
    ),
    (
        "loop device",
        lambda: why(case(on(disk("sda", "A"), "loop0", "loop")), allow_signatures=True),
        DriveInUse,
        "held by /dev/loop0",
    ),
    ("read-only", lambda: why(changed(problem="it is read-only")), DriveInUse, "read-only"),
    (
        "known pool",
        lambda: why(case(), pools={"A": "backup-1"}),
        DriveInUse,
        "member of pool backup-1",
    ),
    ("mounted", lambda: why(case(mounts=(mounted("/data", "8:1"),))), DriveInUse, "at /data"),
    (
        "partition mounted",
        lambda: why(
            case(on(disk("sda", "A"), "sda1", majmin="8:7"), mounts=(mounted("/data", "8:7"),))
        ),
        DriveInUse,
        "at /data",
    ),
    (
        "stack mounted",
        lambda: why(
            case(on(disk("sda", "A"), "dm-0", "lvm"), mounts=(mounted("/d", source="/dev/dm-0"),))
        ),
        DriveInUse,
        "at /d",
    ),
    ("swap", lambda: why(case(swaps=frozenset({"sda"}))), DriveInUse, "swap"),
    (
        "running pool nobody knows",
        lambda: why(case(reports={"mdadm": (report(name="media"),)})),
        DriveInUse,
        "mdadm pool media",
    ),
    (
        "inactive pool nobody knows",
        lambda: why(case(reports={"mdadm": (report(presence="inactive"),)})),
        DriveInUse,
        "mdadm pool native",
    ),
    (
        "stopped pool of Backy's",
        lambda: why(
            case(reports={"mdadm": (report(presence="stopped", guid=GUID),)}),
            allow_signatures=True,
        ),
        DriveInUse,
        GUID,
    ),
    (
        "held",
        lambda: why(case(on(disk("sda", "A"), "dm-0", "crypt"))),
        DriveInUse,
        "held by /dev/dm-0 (crypt)",
    ),
    (
        "partition held",
        lambda: why(
            case(
                replace(
                    disk("sda", "A"),
                    children=(on(disk("sda1", type="part", parents=("sda",)), "md1", "raid0"),),
                )
            )
        ),
        DriveInUse,
        "held by /dev/md1 (raid0)",
    ),
    ("claimed", lambda: why(case(), claimed={"A"}), DriveInUse, "running operation"),
    (
        "backend failing",
        lambda: why(
            case(
                signatures={"sda": (MEMBER,)},
                problems={"mdadm": "it hangs"},
                owned_types={"mdadm": frozenset({"linux_raid_member"})},
            ),
            allow_signatures=True,
        ),
        DriveInUse,
        "cannot look",
    ),
    (
        "unreadable",
        lambda: why(case(unprobed={"sda": "Input/output error"}), allow_signatures=True),
        DriveInUse,
        "cannot be read",
    ),
    (
        "unreadable to its backend",
        lambda: why(
            case(
                signatures={"sda": (MEMBER,)},
                unreadable={"mdadm": {DriveId(serial="A", size=SIZE): "checksum error"}},
            )
        ),
        DriveNotEmpty,
        ", which backend mdadm cannot read: checksum error",
    ),
    ("data", lambda: why(case(signatures={"sda": (EXT4,)})), DriveNotEmpty, "ext4 (holiday)"),
    (
        "data in a partition",
        lambda: why(
            case(on(disk("sda", "A"), "sda1"), signatures={"sda1": (EXT4,)}),
        ),
        DriveNotEmpty,
        "ext4",
    ),
]


@pytest.mark.parametrize(
    ("ask", "kind", "words"), [row[1:] for row in REASONS], ids=[row[0] for row in REASONS]
)
def test_reasons(ask: Callable[[], BackyError | None], kind: type[BackyError], words: str) -> None:
    error = ask()
    assert type(error) is kind
    assert error is not None and words in error.message
    assert error.message.count(". ") == 0, "one sentence"


@pytest.mark.parametrize("row", REASONS, ids=[row[0] for row in REASONS])
def test_only_data_is_overcome_by_consent(
    row: tuple[str, Callable[[], BackyError | None], type[BackyError], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = drives.unavailable_because

    def consenting(*given: Any, **options: Any) -> BackyError | None:
        return real(*given, **{**options, "allow_signatures": True})

    monkeypatch.setattr(drives, "unavailable_because", consenting)
    assert (row[1]() is None) is (row[2] is DriveNotEmpty)


def test_the_first_reason_wins() -> None:
    given = case(signatures={"sda": (EXT4,)}, mounts=(mounted("/data", "8:1"),))
    assert isinstance(why(given, protected={"A"}, claimed={"A"}), DriveProtected)
    error = why(given, pools={"A": "backup-1"})
    assert error is not None and "backup-1" in error.message


def test_what_lies_between_a_drive_and_the_pool_it_joins_is_the_pools() -> None:
    leg = on(disk("dm-1", type="lvm", parents=("sda",)), "dm-2", "lvm")
    given = case(replace(disk("sda", "A"), children=(leg,)))
    held = why(given)
    assert isinstance(held, DriveInUse) and "dm-1" in str(held)
    assert why(given, joining=report(device="dm-2")) is None
    assert isinstance(why(given, joining=report(device="dm-3")), DriveInUse)


def test_a_stopped_foreign_array_is_data_like_any_other() -> None:
    given = case(reports={"mdadm": (report(presence="stopped"),)}, signatures={"sda": (MEMBER,)})
    assert isinstance(why(given), DriveNotEmpty)
    assert why(given, allow_signatures=True) is None


def test_remains_of_a_deleted_pool_may_be_wiped_with_consent() -> None:
    given = case(
        reports={"mdadm": (report(presence="stopped", guid=GUID),)}, signatures={"sda": (MEMBER,)}
    )
    assert isinstance(why(given, deleted={GUID}), DriveNotEmpty)
    assert why(given, deleted={GUID}, allow_signatures=True) is None


def test_what_cannot_be_read_may_be_wiped_with_consent_unless_it_runs() -> None:
    for presence in ("stopped", "active"):
        given = case(
            reports={"mdadm": (report(presence=presence, guid=GUID),)},
            signatures={"sda": (MEMBER,)},
            unreadable={"mdadm": {DriveId(serial="A", size=SIZE): "checksum error"}},
            kept={"mdadm": frozenset({report().native_id})},
        )
        refused = why(given, allow_signatures=True)
        assert isinstance(refused, DriveInUse) if presence == "active" else refused is None


def test_a_failing_backend_spares_drives_it_does_not_own() -> None:
    given = case(
        signatures={"sda": (EXT4,)},
        problems={"mdadm": "it hangs"},
        owned_types={"mdadm": frozenset({"linux_raid_member"})},
    )
    assert why(given, allow_signatures=True) is None


# Snapshot


def test_snapshot_lookups() -> None:
    device = on(on(disk("sda", "A"), "sda1"), "md127", "raid1", majmin="9:127")
    stopped = report(guid=GUID)
    drive, snapshot = case(
        device,
        signatures={"sda1": (EXT4,), "md127": (replace_device(EXT4, "md127"),)},
        mounts=(mounted("/data", "9:127"),),
        reports={"mdadm": (stopped,)},
    )
    assert snapshot.drive_of("sda1") is drive is snapshot.drive_of("sda")
    assert snapshot.drive_of("md127") is None
    assert snapshot.signatures_of(drive) == (EXT4,)
    assert snapshot.report_for("mdadm", "native") is stopped is snapshot.report_for("mdadm", GUID)
    assert snapshot.report_for("lvm", GUID) is None
    assert snapshot.mount_at("/data") is snapshot.mounts[0]
    assert snapshot.mounts_on(drive) == snapshot.mounts


def replace_device(signature: Signature, device: str) -> Signature:
    return signature.model_copy(update={"device": device})


# Protection


async def test_protection_survives(tmp_path: Path) -> None:
    path = tmp_path / "protection.json"
    store = ProtectionStore(OwnFile.at(path))
    store.load()
    assert store.serials() == frozenset()
    await store.protect("A")
    await store.protect("B")
    await store.unprotect("A")
    await store.unprotect("never")
    again = ProtectionStore(OwnFile.at(path))
    again.load()
    assert again.serials() == {"B"}
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"serials": "A"}', '{"serials": [1]}'])
def test_a_damaged_list_never_takes_the_protection_off(tmp_path: Path, text: str) -> None:
    path = tmp_path / "protection.json"
    path.write_text(text)
    with pytest.raises(SystemFailure, match=r"protection\.json cannot be read"):
        ProtectionStore(OwnFile.at(path)).load()
    assert path.read_text() == text


async def test_a_failed_save_changes_nothing(tmp_path: Path) -> None:
    store = ProtectionStore(OwnFile.at(tmp_path / "missing" / "protection.json"))
    with pytest.raises(SystemFailure):
        await store.protect("A")
    assert store.serials() == frozenset()
