"""The drive use cases: listing, status, refresh, blinking, protection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from backy_core.machine import inventory
from backy_core.machine.inventory import Drive
from backy_core.machine.snapshot import Snapshot
from backy_core.pools.admission import guards
from backy_core.pools.admission.busy import processes_of
from backy_core.pools.blinking import Blinking
from backy_core.pools.core import Core
from backy_core.pools.reading.viewing import PoolViewer
from backy_core.pools.views import Unchanging
from backy_core.store.metadata import PoolEntry
from backy_core.system.procs import ProcessInfo


class ListedDrive(NamedTuple):
    """A drive with what a caller may do with it. ``unavailable_because``: one sentence.
    ``unavailable_code``: of the error that taking it would get."""

    drive: Drive
    available: bool
    unavailable_because: str | None
    pool_guid: str | None
    protected: bool
    unavailable_code: str | None = None


class ListedDrives(Unchanging, tuple[ListedDrive, ...]):
    """Drives as they stand now."""


class DriveStatus(NamedTuple):
    """``status``: available, in_pool, in_use, mounted or protected. ``device``: the pool's."""

    status: str
    pool_guid: str | None
    device: str | None
    mount_point: str | None
    processes: tuple[ProcessInfo, ...]


class _Listing(NamedTuple):
    """A list and what it was made of."""

    snapshot: Snapshot
    facts: tuple[object, ...]
    drives: ListedDrives


class DriveService:
    def __init__(self, core: Core, viewer: PoolViewer) -> None:
        self._core = core
        self._viewer = viewer
        self._blinking = Blinking(core.machine, core.clock)
        self._listed = _Listing(Snapshot(), (), ListedDrives())

    async def list(self) -> ListedDrives:
        """The drives that pools can be made of; the same object while nothing changes."""
        core, last = self._core, self._listed
        snapshot = core.observer.snapshot
        facts = (
            core.metadata.entries(),
            core.registry.claims.claimed_drives(),
            core.quarantined(),
            core.protection.serials(),
            core.tombstones.entries(),
        )
        if facts != last.facts or snapshot.differs_from(last.snapshot):
            pools = guards.known_pools(core)
            drives = ListedDrives(self._judged(drive, pools) for drive in _offered(snapshot))
            self._listed = _Listing(snapshot, facts, drives)
        return self._listed.drives

    def _judged(self, drive: Drive, pools: guards.KnownPools) -> ListedDrive:
        reason = guards.unavailable(self._core, drive, self._core.observer.snapshot, pools=pools)
        return ListedDrive(
            drive=drive,
            available=reason is None,
            unavailable_because=reason.message if reason else None,
            pool_guid=pools.guids.get(drive.id.serial),
            protected=drive.identified and drive.id.serial in self._core.protection.serials(),
            unavailable_code=reason.code if reason else None,
        )

    async def status(self, serial: str) -> DriveStatus:
        """Raises :class:`NotFound` for a drive that is not connected."""
        drive = inventory.find(self._core.observer.snapshot.drives, serial)
        listed = self._judged(drive, guards.known_pools(self._core))
        entry = self._core.metadata.get(listed.pool_guid) if listed.pool_guid else None
        report = self._core.find_report(entry) if entry else None
        mount_point = self._viewer.mounted_at(entry) if entry else _mounted_on(drive)
        return DriveStatus(
            status=_word(listed, mount_point),
            pool_guid=listed.pool_guid,
            device=report.device if report else None,
            mount_point=mount_point,
            processes=await self._processes(entry, mount_point),
        )

    async def _processes(
        self, entry: PoolEntry | None, mount_point: str | None
    ) -> tuple[ProcessInfo, ...]:
        if entry is not None:
            return await processes_of(self._core, entry)
        return await self._core.machine.processes.processes_on(mount_point) if mount_point else ()

    async def refresh(self) -> None:
        await self._core.observer.refresh()

    async def blink(self, serial: str) -> float:
        """Make a drive's activity light blink, by reading it; returns for how many seconds.

        Raises :class:`NotFound` for a drive that is not connected, and for those never touched.
        """
        self._blinking.begin(inventory.find(_offered(self._core.observer.snapshot), serial))
        return self._blinking.lasts_s()

    async def protect(self, serial: str) -> None:
        """Refuse every destructive call on this drive from now on. No-op if protected.

        Raises :class:`Conflict` for a drive that cannot be found again after a boot.
        """
        drive = inventory.find(self._core.observer.snapshot.drives, serial)
        if (error := inventory.unidentified_because(drive)) is not None:
            raise error
        await self._core.protection.protect(serial)

    async def unprotect(self, serial: str) -> None:
        """Lift the protection, of an absent drive too. Idempotent."""
        if serial not in self._core.protection.serials():
            inventory.find(self._core.observer.snapshot.drives, serial)
        await self._core.protection.unprotect(serial)


def _offered(snapshot: Snapshot) -> Iterator[Drive]:
    """All but the system's and excluded drives."""
    return (drive for drive in snapshot.drives if not (drive.system or drive.excluded))


def _mounted_on(drive: Drive) -> str | None:
    """The first mount point of the drive itself or of what lies on it."""
    pending = [drive.device]
    while pending:
        device = pending.pop(0)
        if device.mountpoint:
            return device.mountpoint
        pending += device.children
    return None


def _word(listed: ListedDrive, mount_point: str | None) -> str:
    if listed.pool_guid is not None:
        return "in_pool"
    if listed.protected:
        return "protected"
    if mount_point is not None:
        return "mounted"
    return "available" if listed.available else "in_use"
