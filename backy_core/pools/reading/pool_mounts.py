"""Find a pool's mounts and their device, even when its backend no longer reports the pool.

A backend may stop reporting a pool (an unknown word in tool output, drives that are gone) while
the kernel still has it mounted. So a mount belongs to the pool if its source, its device number,
the filesystem's UUID or the remembered path matches.
"""

from __future__ import annotations

from collections.abc import Iterator

from backy_core.machine.snapshot import Snapshot
from backy_core.sdk.models import PoolReport
from backy_core.store.metadata import PoolEntry
from backy_core.system.block_devices import BlockDevice
from backy_core.system.mount_holders import Filesystem
from backy_core.system.mounts import MountEntry


def all_mounts(
    entry: PoolEntry, report: PoolReport | None, snapshot: Snapshot
) -> tuple[MountEntry, ...]:
    """Every mount of the pool's filesystem, bind mounts and covered ones included."""
    mounts_found = snapshot.mounts_of(report) or tuple(_remembered(entry, report, snapshot))
    numbers = dict.fromkeys(mount.majmin for mount in mounts_found)
    return tuple(mount for number in numbers for mount in snapshot.mounts_numbered(number))


def own_mounts(
    entry: PoolEntry, report: PoolReport | None, snapshot: Snapshot
) -> tuple[MountEntry, ...]:
    """The pool's own: at its path, or where it was mounted first by hand. Others are bind mounts
    of somebody else's."""
    mounts = all_mounts(entry, report, snapshot)
    at_path = tuple(mount for mount in mounts if mount.path == entry.last_mount_path)
    return at_path or tuple(mount for mount in mounts if mount.path == mounts[0].path)


def filesystem_of(entry: PoolEntry, report: PoolReport | None, snapshot: Snapshot) -> Filesystem:
    """The mounts that an unmount removes, and the device below them."""
    devices = {device.name: device for device in _devices(entry, report, snapshot)}
    mounts = own_mounts(entry, report, snapshot)
    numbers = {mount.majmin for mount in mounts}
    numbers |= {device.majmin for device in devices.values()}
    sources = {node for device in devices.values() for node in (device.path, f"/dev/{device.name}")}
    dataset = report.source if report else None
    return Filesystem(
        mounts=mounts,
        numbers=frozenset(numbers),
        devices=tuple(devices),
        sources=frozenset(sources | ({dataset} if dataset else set())),
        dataset=dataset,
        sequences={name: device.diskseq for name, device in devices.items()},
    )


def unreported_device(
    entry: PoolEntry, report: PoolReport | None, snapshot: Snapshot
) -> str | None:
    """The kernel's name of the pool's device, if it runs and the backend does not see the pool."""
    if report is not None:
        return None
    return next((device.name for device in _with_uuid(entry, snapshot)), None)


def _devices(
    entry: PoolEntry, report: PoolReport | None, snapshot: Snapshot
) -> Iterator[BlockDevice]:
    """Those that are there only while the pool runs; never a drive or a partition."""
    names = [report.device] if report and report.device else []
    for mount in own_mounts(entry, report, snapshot):
        device = snapshot.device_under(mount)
        names += [device.name] if device else []
    for name in dict.fromkeys(names):
        device = snapshot.device_named(name)
        if device is not None and snapshot.drive_of(name) is None:
            yield device
    if report is None:
        yield from _with_uuid(entry, snapshot)


def _with_uuid(entry: PoolEntry, snapshot: Snapshot) -> Iterator[BlockDevice]:
    """Stacked devices with the pool's filesystem on the pool's drives. A copy of the filesystem
    has the same UUID, on other drives."""
    if entry.fs_uuid is None:
        return
    for device in snapshot.devices_with(entry.fs_uuid):
        below = {
            drive.id.serial
            for drive in snapshot.drives
            if any(child.name == device.name for child in drive.device.walk())
        }
        stacked = snapshot.drive_of(device.name) is None
        if stacked and below <= set(entry.drive_serials):
            yield device


def _remembered(
    entry: PoolEntry, report: PoolReport | None, snapshot: Snapshot
) -> Iterator[MountEntry]:
    for device in _with_uuid(entry, snapshot):
        yield from snapshot.mounts_on_device(device)
    for mount in snapshot.mounts_at(entry.last_mount_path):
        under = snapshot.device_under(mount)
        if under is not None and under.uuid and entry.fs_uuid:
            if under.uuid == entry.fs_uuid:
                yield mount
        elif not _of_another(mount, report, snapshot) and (
            # "fuse.zfs" is zfs all the same
            entry.filesystem in (None, mount.fstype.rpartition(".")[2])
        ):
            yield mount


def _of_another(mount: MountEntry, report: PoolReport | None, snapshot: Snapshot) -> bool:
    return any(
        mount in snapshot.mounts_of(other)
        for reports in snapshot.reports.values()
        for other in reports
        if other is not report
    )
