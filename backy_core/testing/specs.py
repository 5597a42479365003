"""Pools and reports as a backend may be asked about them, on no machine at all."""

from __future__ import annotations

from collections.abc import Sequence

from backy_core.sdk.models import (
    BackendInfo,
    DriveId,
    Level,
    MemberReport,
    MemberState,
    PoolReport,
    PoolSpec,
    Presence,
)

GUID = "7d1b6f0a-93a4-4c3e-8f57-0a6b1c2d3e4f"
FS_UUID = "5b0c0b8e-6f1d-4a39-9f7e-2f8f8e1d0c11"
NUMBERINGS = (
    ("sda", "sdb", "sdc", "sdd", "sde", "sdf", "sdg"),
    ("sdq", "sdaa", "sdz", "sdb", "sda", "sdc", "sdab"),
    ("nvme3n1", "nvme0n1", "nvme10n1", "nvme2n1", "nvme1n1", "nvme5n1", "nvme4n1"),
)
"""The same drives as different boots may call them."""
LABELS = (
    "backup",
    "two words  and more",
    'O\'Brien "the" `box` $(reboot); rm -rf / #',
    "-z",
    "--erase-everything",
    "-rf=/",
    "früh · 備份 · 🖴",
    "a/b\\c%s{x}",
    "=" * 255,
)


def drives(count: int) -> tuple[DriveId, ...]:
    """Drives with serials as manufacturers choose them."""
    serials = ("WD-WX11A", "S3Z8NB0K", "drive-scsi1", "-dash", "with space", "ünï", "0x50014ee")
    return tuple(
        DriveId(serial=f"{serials[n % 7]}{n // 7 or ''}", wwn=f"0x5000c500{n:08x}", size=1 << 40)
        for n in range(count)
    )


def spec(
    info: BackendInfo, level: Level, members: Sequence[DriveId], label: str = "backup"
) -> PoolSpec:
    """A pool as the core would ask for it."""
    return PoolSpec(
        guid=GUID,
        label=label,
        level=level.name,
        filesystem=info.filesystems[0] if info.filesystems else None,
        fs_uuid=FS_UUID,
        mount_path=f"/mnt/backy/{GUID}",
        drives=tuple(members),
        portability="portable",
    )


def report(
    info: BackendInfo,
    pool: PoolSpec,
    names: Sequence[str],
    presence: Presence,
    states: Sequence[MemberState] = (),
) -> PoolReport:
    """How such a pool is seen. ``states`` of the first members; the others are active."""
    each = [*states, *["active"] * (len(pool.drives) - len(states))]
    members = tuple(
        _member(drive, names[slot], slot, state)  # type: ignore[arg-type]
        for slot, (drive, state) in enumerate(zip(pool.drives, each, strict=True))
    )
    running = presence == "active"
    degraded = any(member.state not in ("active", "spare") for member in members)
    block = info.delivers == "block"
    return PoolReport(
        native_id=pool.identity,
        guid=pool.guid,
        level=pool.level,
        presence=presence,
        health=("degraded" if degraded else "active") if running else "inactive",
        degraded=degraded,
        device="md127" if running and block else None,
        source=f"pool-{pool.guid}" if running and not block else None,
        expected_members=len(members),
        members=members,
    )


def _member(drive: DriveId, name: str, slot: int, state: MemberState) -> MemberReport:
    gone = state == "missing"
    return MemberReport(
        device=None if gone else name,
        drive=None if gone else drive,
        handle=str(10**18 + slot),
        slot=slot,
        state=state,
    )
