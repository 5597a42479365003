"""Why a pool that the kernel has mounted is of no use, or of less than people expect."""

from __future__ import annotations

from backy_core.pools.metadata import PoolEntry
from backy_core.pools.pool_mounts import own_mounts, unreported_device
from backy_core.sdk.models import PoolReport
from backy_core.snapshot import Snapshot
from backy_core.system.mounts import MountEntry


def trouble(entry: PoolEntry, report: PoolReport | None, snapshot: Snapshot) -> str | None:
    """What is wrong and what to do, in one sentence; None: nothing is."""
    mounts = own_mounts(entry, report, snapshot)
    if not mounts:
        device = unreported_device(entry, report, snapshot)
        return (
            f"Its device /dev/{device} is running, but backend {entry.backend} does not see the "
            "pool"
            if device
            else None
        )
    mount = mounts[-1]
    return (
        _covered(mount, snapshot)
        or _without_device(entry, mount, report, snapshot)
        or _gave_up(entry, mount, snapshot)
    )


def caveat(entry: PoolEntry, report: PoolReport | None, snapshot: Snapshot) -> str | None:
    """Why a mounted pool takes no data; None if it does, or is not mounted."""
    mounts = own_mounts(entry, report, snapshot)
    if not mounts or not mounts[-1].read_only:
        return None
    protected = _write_protected(entry, report, snapshot)
    if not protected:
        return (
            f"It is mounted read-only; mount -o remount,rw {mounts[-1].path} makes it writable "
            "again if somebody asked for that"
        )
    return (
        f"It is mounted read-only: {protected} is write-protected. Lift that, unmount the pool and "
        "mount it again to write to it"
    )


def _write_protected(entry: PoolEntry, report: PoolReport | None, snapshot: Snapshot) -> str | None:
    known = {m.drive.serial for m in report.members if m.drive} if report else set()
    serials = known or set(entry.drive_serials)
    drives = [each.id.serial for each in snapshot.drives if each.device.ro]
    found = ", ".join(serial for serial in drives if serial in serials)
    if found:
        return f"drive {found}"
    device = snapshot.device_named(report.device) if report and report.device else None
    return f"its device /dev/{device.name}" if device and device.ro else None


def _covered(mount: MountEntry, snapshot: Snapshot) -> str | None:
    cover = snapshot.covers(mount)
    if cover is None:
        return None
    return (
        f"It is mounted at {mount.path}, but {cover.source} is mounted at {cover.path} and covers "
        f"it: what is written there does not reach the pool. Unmount what covers it: umount "
        f"{cover.path}"
    )


def _without_device(
    entry: PoolEntry, mount: MountEntry, report: PoolReport | None, snapshot: Snapshot
) -> str | None:
    """A mount outlives the drives, and the pool may be back by another device."""
    if mount in snapshot.mounts_of(report):
        return None
    if report is None and entry.backend in snapshot.problems:
        return None
    return (
        f"Its filesystem is still mounted at {mount.path}, but backend {entry.backend} does not "
        f"see it run. Unmount it: DELETE /api/v1/pools/{entry.guid}/mount"
    )


def _gave_up(entry: PoolEntry, mount: MountEntry, snapshot: Snapshot) -> str | None:
    if not mount.gave_up:
        return None
    return (
        f"The filesystem at {mount.path} met an error and takes no more data; the kernel log says "
        f"why. Unmount it (DELETE /api/v1/pools/{entry.guid}/mount), check the filesystem, and "
        "mount it again"
    )
