"""Reconcile metadata with the snapshot: names, levels, members' identities, departed members."""

from __future__ import annotations

from functools import partial

from backy_core.pools.core import Core
from backy_core.sdk.models import PoolReport
from backy_core.store.metadata import PoolEntry


async def learn(core: Core) -> int:
    """Update entries no operation works on; returns how many changed.

    An entry of the earlier agent gets its identity the first time all its drives are seen
    together; from then on serials alone never decide.
    """
    changed = 0
    for entry in core.metadata.entries():
        changed += await core.metadata.revise(entry.guid, partial(_as_seen, core))
    return changed


def _as_seen(core: Core, entry: PoolEntry) -> PoolEntry:
    report = core.find_report(entry)
    if report is None or core.registry.running_on(entry.guid) is not None:
        return entry
    return without_left(_learned(entry, report), report)


def awaits_leavers(core: Core) -> bool:
    """Whether a pool still holds a member that was replaced."""
    return any(entry.leaving for entry in core.metadata.entries())


def without_left(entry: PoolEntry, report: PoolReport | None) -> PoolEntry:
    """The entry without replaced members that the pool no longer uses. While it is not whole they
    stay in it: they may be all there is of their part of the data."""
    if not entry.leaving or report is None or report.presence != "active" or report.degraded:
        return entry
    in_place = {m.drive.serial for m in report.members if m.drive and m.in_place}
    left = {serial for serial in entry.leaving if serial not in in_place}
    labels = {serial: name for serial, name in entry.drive_labels.items() if serial not in left}
    return entry.model_copy(
        update={
            "leaving": tuple(s for s in entry.leaving if s not in left),
            "drive_serials": tuple(s for s in entry.drive_serials if s not in left),
            "drive_ids": tuple(d for d in entry.drive_ids if d.serial not in left),
            "drive_labels": labels,
        }
    )


def _learned(entry: PoolEntry, report: PoolReport) -> PoolEntry:
    remembered = {drive.serial: drive for drive in entry.drive_ids}
    members = {m.drive.serial: m.drive for m in report.members if m.drive is not None}
    identities = {**members, **remembered}
    return entry.model_copy(
        update={
            "native_id": entry.native_id or report.native_id,
            "level": entry.level or report.level or None,
            "md_device_name": report.device or entry.md_device_name,
            "drive_ids": tuple(identities[s] for s in entry.drive_serials if s in identities),
        }
    )
