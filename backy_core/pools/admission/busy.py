"""Holders of a pool, checked before any change to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backy_core.machine.snapshot import Snapshot
from backy_core.pools.core import Core
from backy_core.pools.reading.pool_mounts import filesystem_of
from backy_core.sdk.errors import PoolBusy
from backy_core.sdk.models import PoolReport
from backy_core.store.metadata import PoolEntry
from backy_core.system.block_devices import BlockDevice
from backy_core.system.mount_holders import Filesystem, Holder
from backy_core.system.procs import ProcessInfo

_PASSING_S, _PAUSE_S = 3.0, 0.2
_UNKNOWN = (
    "The kernel reports it in use, but no process, mount, loop device, swap file or NFS export "
    "that uses it was found"
)


async def find_holders(core: Core, entry: PoolEntry) -> tuple[Holder, ...]:
    """Everything that keeps the pool from being unmounted and stopped, judged by the pool's
    devices in the latest snapshot."""
    snapshot = core.observer.snapshot
    report = core.find_report(entry)
    filesystem = filesystem_of(entry, report, snapshot)
    beside = tuple(_beside(report, filesystem, snapshot))
    if not (filesystem.numbers or filesystem.sources):
        return beside
    return (*await core.machine.processes.find_holders(filesystem), *beside)


async def processes_of(core: Core, entry: PoolEntry) -> tuple[ProcessInfo, ...]:
    """The processes among them."""
    holders = await find_holders(core, entry)
    return tuple(holder.process for holder in holders if holder.process is not None)


async def refuse_busy(core: Core, entry: PoolEntry) -> None:
    """Raise :class:`PoolBusy` if anything holds the pool; refresh the snapshot before.

    To be called by whatever unmounts a pool, before its first change. Who only looks at the
    device, as udev does after a mount, is waited for.
    """
    deadline = core.clock.monotonic() + _PASSING_S
    while holders := await find_holders(core, entry):
        lasting = [holder for holder in holders if not holder.passing]
        if lasting or core.clock.monotonic() >= deadline:
            raise busy_error(entry, lasting or holders)
        await core.clock.sleep(_PAUSE_S)


def busy_error(entry: PoolEntry, holders: Sequence[Holder], details: str | None = None) -> PoolBusy:
    """``details``: what else is known, where no holder was found."""
    named = "In use: " + "; ".join(holder.what for holder in holders) if holders else None
    release = next((holder.release for holder in holders if holder.release), None)
    return PoolBusy(
        f"Pool {entry.title} cannot be unmounted: target is busy",
        details=named or details or _UNKNOWN,
        hint=f"Release it: {release}" if release else None,
    )


def _beside(
    report: PoolReport | None, filesystem: Filesystem, snapshot: Snapshot
) -> Iterator[Holder]:
    """Other devices on the pool's members that are in use, such as a second volume."""
    members = [member.device for member in report.members if member.device] if report else []
    for name in dict.fromkeys(_stacked(members, snapshot)):
        device = snapshot.device_named(name)
        if device is None or _is_below(device, filesystem):
            continue
        for mount in (
            *snapshot.mounts_numbered(device.majmin),
            *snapshot.mounts_from(f"/dev/{name}"),
        ):
            if not filesystem.has(mount):
                yield Holder(
                    f"{device.path} on the same drives is mounted at {mount.path}",
                    f"umount {mount.path}",
                )
        if name in snapshot.swaps:
            yield Holder(
                f"{device.path} on the same drives is used as swap", f"swapoff {device.path}"
            )


def _stacked(members: Sequence[str], snapshot: Snapshot) -> Iterator[str]:
    for member in members:
        device = snapshot.device_named(member)
        for child in device.walk() if device else ():
            if child.name not in members:
                yield child.name


def _is_below(device: BlockDevice, filesystem: Filesystem) -> bool:
    """The pool's device itself, or what it is built on."""
    return any(child.name in filesystem.devices for child in device.walk())
