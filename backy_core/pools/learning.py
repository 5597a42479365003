"""What the metadata learns from looking: names, levels and identities of members."""

from __future__ import annotations

from backy_core.pools.core import Core
from backy_core.pools.metadata import PoolEntry
from backy_core.sdk.models import PoolReport


def learn(core: Core) -> int:
    """Update entries no operation works on; returns how many changed.

    An entry of the earlier agent gets its identity the first time all its drives are seen
    together; from then on serials alone never decide.
    """
    changed = 0
    for entry in core.metadata.entries():
        report = core.find_report(entry)
        if report is None or core.registry.running_on(entry.guid) is not None:
            continue
        seen = _learned(entry, report)
        if seen != entry:
            core.metadata.put(seen)
            changed += 1
    return changed


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
