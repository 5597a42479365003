"""Why a pool that the kernel has mounted is of no use, or of less than people expect."""

from __future__ import annotations

from backy_core.machine.snapshot import Snapshot
from backy_core.pools.reading.forced import is_forced
from backy_core.pools.reading.pool_mounts import filesystem_of, own_mounts, unreported_device
from backy_core.sdk.advice import Advice, Hint, Text, Verb, advise
from backy_core.sdk.models import PoolReport
from backy_core.store.metadata import PoolEntry
from backy_core.system.mounts import MountEntry


def trouble(entry: PoolEntry, report: PoolReport | None, snapshot: Snapshot) -> Text | None:
    """The pool's problem and its remedy, in one sentence; None if there is none."""
    mounts = own_mounts(entry, report, snapshot)
    if not mounts:
        return _unseen(entry, report, snapshot) or _elsewhere(entry, report, snapshot)
    mount = mounts[-1]
    return (
        _covered(mount, snapshot)
        or _without_device(entry, mount, report, snapshot)
        or failure(entry, report, snapshot)
        or _gave_up(entry, mount, snapshot)
    )


def failure(entry: PoolEntry, report: PoolReport | None, snapshot: Snapshot) -> Text | None:
    """Why the pool is ``failed`` and what to do; None if it is not."""
    if report is None or report.health != "failed":
        return None
    if not report.usable:
        return f"{report.detail} Backy leaves it alone: inspect it with the backend's own tools"
    reason = (report.detail or "Too many of its drives failed or are missing").rstrip(".")
    absent = [serial for serial in entry.drive_serials if serial not in snapshot.connected]
    drives = f"Plug in {', '.join(absent)}" if absent else "Check its drives"
    return advise(
        f"{reason}. {drives}, ",
        _again(entry),
        "; if that is refused, the answer says what else can be done",
    )


def caveat(entry: PoolEntry, report: PoolReport | None, snapshot: Snapshot) -> Text | None:
    """Why a pool takes no data, or is about to take none; None if neither."""
    if failed := failure(entry, report, snapshot):
        return failed
    mounts = own_mounts(entry, report, snapshot)
    if not mounts or not mounts[-1].read_only:
        return None
    if is_forced(entry, mounts[-1]):
        return (
            "It was opened read-only by force; check your files, then unmount it and mount "
            "it again to write to it"
        )
    protected = _write_protected(entry, report, snapshot)
    if not protected:
        return (
            f"It is mounted read-only. If that was done on purpose, "
            f"mount -o remount,rw {mounts[-1].path} makes it writable again"
        )
    return (
        f"It is mounted read-only: {protected} is write-protected. Lift that, unmount the pool and "
        "mount it again to write to it"
    )


def _write_protected(entry: PoolEntry, report: PoolReport | None, snapshot: Snapshot) -> str | None:
    reported_serials = {drive.serial for drive in report.drives} if report else set()
    serials = reported_serials or set(entry.drive_serials)
    drives = [drive.id.serial for drive in snapshot.drives if drive.device.ro]
    listed = ", ".join(serial for serial in drives if serial in serials)
    if listed:
        return f"drive {listed}"
    device = snapshot.device_named(report.device) if report and report.device else None
    return f"its device /dev/{device.name}" if device and device.ro else None


def _unseen(entry: PoolEntry, report: PoolReport | None, snapshot: Snapshot) -> str | None:
    device = unreported_device(entry, report, snapshot)
    if device is None:
        return None
    return (
        f"Its device /dev/{device} is running, but backend {entry.backend} does not report the pool"
    )


def _elsewhere(entry: PoolEntry, report: PoolReport | None, snapshot: Snapshot) -> Advice | None:
    filesystem = filesystem_of(entry, report, snapshot) if snapshot.elsewhere else None
    if filesystem is None or not any(filesystem.has(mount) for mount in snapshot.elsewhere):
        return None
    return advise(
        "It is mounted in the mount namespace of another process, such as a container; ",
        Hint(Verb.LIST_PROCESSES, entry.guid),
        " lists these processes",
    )


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
) -> Advice | None:
    """A mount outlives the drives, and the pool may be back by another device."""
    if mount in snapshot.mounts_of(report):
        return None
    if report is None and entry.backend in snapshot.problems:
        return None
    return advise(
        f"Its filesystem is still mounted at {mount.path}, but backend {entry.backend} does not "
        "report it as running. Unmount it: ",
        Hint(Verb.CLOSE, entry.guid),
    )


def _gave_up(entry: PoolEntry, mount: MountEntry, snapshot: Snapshot) -> Advice | None:
    if not snapshot.gave_up(mount):
        return None
    cause = snapshot.given_up.get(mount.majmin)
    shown = f" ({cause})" if cause else ""
    return advise(
        f"The filesystem at {mount.path} met an error and may take no more data{shown}; the kernel "
        "log says why. Fix the cause, ",
        _again(entry),
    )


def _again(entry: PoolEntry) -> Advice:
    return advise("unmount the pool (", Hint(Verb.CLOSE, entry.guid), ") and mount it again")
