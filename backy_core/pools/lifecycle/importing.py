"""Pools found on drives that the metadata does not know: listing and adopting them."""

from __future__ import annotations

import asyncio
import json
from typing import NamedTuple

from backy_core.machine.inventory import unidentified_because
from backy_core.machine.snapshot import Snapshot
from backy_core.operations import filesystems
from backy_core.operations.claims import Claim
from backy_core.operations.journal import JournalEntry
from backy_core.operations.kinds import OperationKind
from backy_core.operations.records import Operation
from backy_core.pools.admission import guards, portability, sharing
from backy_core.pools.admission.requests import checked_label, checked_mount_path
from backy_core.pools.admission.sharing import drives_below
from backy_core.pools.core import Core
from backy_core.pools.lifecycle.verb import PoolVerb
from backy_core.pools.reading.guids import importable_guid
from backy_core.pools.views import ImportablePool
from backy_core.sdk.advice import Hint, Verb, advise
from backy_core.sdk.errors import BackyError, Conflict, DriveInUse, NotFound
from backy_core.sdk.models import PoolReport
from backy_core.store.metadata import PoolEntry


def importable(
    core: Core, snapshot: Snapshot, operation: Operation | None = None
) -> dict[str, tuple[str, PoolReport]]:
    """Backend and report of every unknown pool, by the GUID it would get.

    ``operation``: the import that asks.

    Leave out remains of deleted pools, and pools of a running or interrupted creation, which its
    roll-back would remove (unless the pool was found in use). Leave out the system's own arrays
    and those of excluded drives.
    """
    return {
        guid: (backend, report)
        for guid, (backend, report) in _unknown(core, snapshot, operation).items()
        if _obstacle(core, guid, backend, report, snapshot, operation) is None
    }


def _unknown(
    core: Core, snapshot: Snapshot, operation: Operation | None
) -> dict[str, tuple[str, PoolReport]]:
    claimed = core.claimed_identities()
    unknown_pools = {
        importable_guid(backend, report): (backend, report)
        for backend, reports in snapshot.reports.items()
        for report in reports
        if report.usable and (backend, report.native_id) not in claimed and report.drives
    }
    untouchable = {drive.id for drive in snapshot.drives if drive.system or drive.excluded}
    return {
        guid: (backend, report)
        for guid, (backend, report) in unknown_pools.items()
        if core.tombstones.get(guid) is None
        and core.registry.running_on(guid) in (None, operation)
        and all(_found_in_use(entry) for entry in core.pending_of(guid))
        and untouchable.isdisjoint(drives_below(report, snapshot))
    }


def _obstacle(
    core: Core,
    guid: str,
    backend: str,
    report: PoolReport,
    snapshot: Snapshot,
    operation: Operation | None,
) -> BackyError | None:
    """Why a pool that is there may not be adopted."""
    below = drives_below(report, snapshot)
    serials = frozenset(drive.serial for drive in below)
    name = f"The {backend} pool {report.name or report.guid or report.native_id}"
    for drive in snapshot.drives:
        if drive.id in below and (unidentified := unidentified_because(drive)) is not None:
            return unidentified
    sharing_pool = sharing.other_pool(core, backend, serials, snapshot)
    if sharing_pool is not None:
        entry, serial = sharing_pool
        return Conflict(
            f"{name} shares drive {serial} with pool {entry.title} of backend {entry.backend}",
            hint=advise("If that one is not needed: ", Hint(Verb.FORGET, entry.guid)),
        )
    busy = core.registry.claims.claimed_drives(other_than=operation.id if operation else None)
    claimed = serials & (busy | _in_doubt(core, guid))
    if claimed:
        return DriveInUse(
            f"{name} is on drive {min(claimed)}, which an operation uses or has quarantined",
            hint=advise("Wait for it to end: ", Hint(Verb.LIST_OPERATIONS)),
        )
    return None


def _in_doubt(core: Core, guid: str) -> frozenset[str]:
    """Drives that interrupted operations on other pools left quarantined."""
    other_entries = (entry for entry in core.pending.values() if entry.plan.pool.guid != guid)
    stuck = (entry.stuck for entry in other_entries if entry.commit is None)
    return frozenset(serial for entry in stuck if entry is not None for serial in entry.drives)


async def listed(core: Core) -> tuple[ImportablePool, ...]:
    """Every pool that may be imported."""
    snapshot = core.observer.snapshot
    importable_pools = importable(core, snapshot).items()
    return tuple(
        await asyncio.gather(
            *(
                _described(core, guid, *pool_found, snapshot)
                for guid, pool_found in importable_pools
            )
        )
    )


async def _described(
    core: Core, guid: str, backend: str, report: PoolReport, snapshot: Snapshot
) -> ImportablePool:
    """A pool that may be imported. Of a block device that runs the superblock is read."""
    filesystem, _ = _filesystem(core, backend, report, snapshot)
    looked = await portability.look(core, backend, report, report.device, filesystem)
    return ImportablePool(
        guid=guid,
        backend=backend,
        native_id=report.native_id,
        label=report.name,
        level=report.level,
        filesystem=filesystem,
        drives=tuple(drive.serial for drive in report.drives),
        opens_on=looked.opens_on,
        cannot_open_because=looked.why_not_here(report.name or guid),
    )


class ImportRequest(NamedTuple):
    """None: as the pool has it, or by default."""

    label: str | None
    mount_path: str | None


class Import(PoolVerb[ImportRequest]):
    """Remember a found pool. It has no plan: nothing is written to its drives."""

    kind = OperationKind.IMPORT

    def fingerprint(self, request: ImportRequest) -> str:
        return json.dumps(request)

    async def run(self, op: Operation, guid: str, request: ImportRequest) -> None:
        await _adopt(self._core, op, guid, *request)


async def _adopt(
    core: Core, op: Operation, guid: str, label: str | None, mount_path: str | None
) -> None:
    snapshot = await core.observer.refresh()
    unknown_pool = _unknown(core, snapshot, op).get(guid)
    if unknown_pool is None:
        raise NotFound(
            f"There is no pool {guid} to import",
            hint=advise(Hint(Verb.LIST_IMPORTABLE), " lists the pools that can be imported"),
        )
    backend, report = unknown_pool
    if (obstacle := _obstacle(core, guid, backend, report, snapshot, op)) is not None:
        raise obstacle
    core.registry.claims.take(op.id, [Claim("drive", member.serial) for member in report.drives])
    promised = _promised(core, guid)
    requested_path = mount_path or (promised.last_mount_path if promised else None)
    path = await _path(core, guid, report, snapshot, requested_path)
    entry = entry_of_found(core, guid, backend, report, snapshot, label, path)
    if promised is not None:
        entry = _completed(entry, promised, label)
    await core.metadata.put(entry)
    for interrupted in core.pending_of(guid):  # a pool that is known is not rolled back
        await core.settle(interrupted)


def _promised(core: Core, guid: str) -> PoolEntry | None:
    """The metadata entry that an interrupted creation would have committed, if its pool was found
    in use."""
    dumped = [entry.opened.subject.get("entry") for entry in core.pending_of(guid)]
    return PoolEntry.model_validate(dumped[-1]) if dumped and dumped[-1] else None


def _completed(entry: PoolEntry, promised: PoolEntry, label: str | None) -> PoolEntry:
    same_path = entry.last_mount_path == promised.last_mount_path
    return entry.model_copy(
        update={
            "label": entry.label if label else promised.label,
            "drive_labels": promised.drive_labels,
            "created_at": promised.created_at,
            "made_directories": promised.made_directories if same_path else entry.made_directories,
        }
    )


def _found_in_use(entry: JournalEntry) -> bool:
    return entry.stuck is not None and entry.stuck.holds_data


async def _path(
    core: Core, guid: str, report: PoolReport, snapshot: Snapshot, mount_path: str | None
) -> str:
    """Its current mount path, or else its future one."""
    mounted = snapshot.mounts_of(report)
    if mounted:
        await guards.refuse_place(core, mounted[-1].path)
        return mounted[-1].path
    path = checked_mount_path(mount_path or core.settings.default_mount_path(guid))
    await guards.missing_directories(core, path, snapshot, guid)
    return path


def entry_of_found(
    core: Core,
    guid: str,
    backend: str,
    report: PoolReport,
    snapshot: Snapshot,
    label: str | None,
    path: str | None,
) -> PoolEntry:
    """A found pool as the metadata would have it."""
    filesystem, fs_uuid = _filesystem(core, backend, report, snapshot)
    members = report.drives
    return PoolEntry(
        guid=guid,
        label=checked_label(label or report.name or guid),
        backend=backend,
        level=report.level,
        filesystem=filesystem,
        fs_uuid=fs_uuid,
        md_device_name=report.device,
        drive_serials=tuple(drive.serial for drive in members),
        drive_ids=members,
        created_at=core.clock.now(),
        last_mount_path=path,
        # Named after the pool: the agent made it, before the pool was forgotten.
        made_directories=(path,) if path == core.settings.default_mount_path(guid) else (),
        is_mounted=bool(snapshot.mounts_of(report)),
        native_id=report.native_id,
    )


def _filesystem(
    core: Core, backend: str, report: PoolReport, snapshot: Snapshot
) -> tuple[str | None, str | None]:
    """Type and UUID of its filesystem, if the pool runs and the filesystem is known."""
    info = core.host.backends[backend].info
    if info.delivers == "filesystem":
        return info.filesystems[0], None
    for signature in snapshot.signatures.get(report.device or "", ()):
        if filesystems.is_known(signature.type):
            return signature.type, signature.uuid
    return None, None
