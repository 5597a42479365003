"""Pools, drives and reports that the tests plan with."""

from __future__ import annotations

from backy_lvm.stamps import pv_uuid

from backy_core.sdk.models import DriveId, MemberReport, MemberState, PoolReport, PoolSpec

GUID = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
VG_UUID = "I437da-lk8s-JbgN-bHmC-62ws-vvGh-xvAdsg"
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


def member(
    drive: DriveId, state: MemberState, slot: int | None = None, attempt: int = 0
) -> MemberReport:
    """A missing one has no device, and no drive."""
    present = state != "missing"
    device = f"sd{'abcdef'[DRIVES.index(drive)]}" if present else None
    return MemberReport(
        device=device,
        drive=drive if present else None,
        handle=pv_uuid(GUID, drive, attempt),
        slot=slot,
        state=state,
    )


def report(
    *members: MemberReport, presence: str = "active", level: str = "raid1", foreign: bool = False
) -> PoolReport:
    in_use = [member for member in members if member.state != "spare"]
    return PoolReport.model_validate(
        {
            "native_id": VG_UUID if foreign else GUID,
            "guid": None if foreign else GUID,
            "name": "data/files" if foreign else None,
            "level": level,
            "presence": presence,
            "health": "active" if presence == "active" else "inactive",
            "degraded": any(device.state != "active" for device in in_use),
            "device": "dm-3" if presence == "active" else None,
            "expected_members": len(in_use),
            "members": [member.model_dump() for member in members],
        }
    )
