"""Pools, drives and reports that the tests plan with."""

from __future__ import annotations

from backy_core.sdk.models import DriveId, MemberReport, MemberState, PoolReport, PoolSpec

GUID = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
DRIVES = tuple(DriveId(serial=f"drive-scsi{n}", size=256 << 20) for n in range(1, 7))
A, B, C, D, E, F = DRIVES


def pool(level: str = "raid1", count: int = 2, native_id: str | None = None) -> PoolSpec:
    return PoolSpec(
        guid=GUID,
        native_id=native_id,
        label="Müller's backups, 2026",
        level=level,
        filesystem="ext4",
        fs_uuid="11111111-2222-4333-8444-555555555555",
        mount_path="/mnt/backup",
        drives=DRIVES[:count],
    )


def member(drive: DriveId | None, state: MemberState, slot: int | None = None) -> MemberReport:
    device = f"sd{drive.serial[-1]}" if drive else None
    device = device and device.translate(str.maketrans("123456", "abcdef"))
    return MemberReport(device=device, drive=drive, slot=slot, state=state)


def report(*members: MemberReport, presence: str = "active", level: str = "raid1") -> PoolReport:
    good = sum(member.state == "active" for member in members)
    slots = {"raid1": 2, "raid0": 2, "raid5": 3}[level]
    return PoolReport.model_validate(
        {
            "native_id": GUID,
            "guid": GUID,
            "level": level,
            "presence": presence,
            "health": "active" if presence == "active" else "inactive",
            "degraded": good < slots,
            "device": None if presence == "stopped" else "md127",
            "expected_members": slots,
            "members": [member.model_dump() for member in members],
        }
    )
