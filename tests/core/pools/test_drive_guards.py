"""The reasons against using a drive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from backy_core.machine.inventory import Drive
from backy_core.machine.snapshot import Snapshot
from backy_core.pools.admission import drives
from backy_core.sdk.errors import (
    BackyError,
    Conflict,
    DriveInUse,
    DriveNotEmpty,
    DriveProtected,
)
from backy_core.sdk.models import DriveId, MemberReport, PoolReport, Signature
from backy_core.system.blocks import BlockDevice
from tests.fakes.block_devices import SIZE, disk, flat, found_in, mounted, on

GUID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"


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
        "cannot inspect",
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
