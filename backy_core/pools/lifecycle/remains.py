"""What a deleted pool leaves: drives that were not wiped, as a message and as a tombstone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from backy_core.machine.inventory import Drive, is_same_drive
from backy_core.machine.snapshot import Snapshot
from backy_core.pools.reading.members import remembered
from backy_core.sdk.advice import Hint, Text, Verb, advise, join
from backy_core.sdk.errors import SystemFailure
from backy_core.sdk.models import DriveId
from backy_core.sdk.plan import Plan
from backy_core.store.metadata import PoolEntry
from backy_core.store.tombstones import Tombstone
from backy_core.system.machine import Machine


async def not_wiped(machine: Machine, identity: DriveId, snapshot: Snapshot) -> str | None:
    """Why a member does not count as wiped, by a separate probe; None if it is proved blank."""
    drives_found = [drive for drive in snapshot.drives if drive.id.serial == identity.serial]
    same = [
        drive for drive in drives_found if identity.size == 0 or is_same_drive(drive.id, identity)
    ]
    if len(same) != 1:
        return "another drive has its serial" if drives_found else "it is not connected"
    drive = same[0]
    if drive.excluded:
        return "it is excluded by the agent's settings"
    try:
        bears = await machine.signatures.probe_drive(drive.name)
    except SystemFailure as error:
        return f"it cannot be read: {error.details or error.message}"
    if bears:
        return f"it holds {bears[0]}"
    held = machine.devices.holders(drive.name)
    return f"it is held by {', '.join(held)}" if held else None


def message(
    entry: PoolEntry, left: Mapping[DriveId, str], copies: tuple[Drive, ...]
) -> Text | None:
    """The message about drives that were not wiped."""
    sentences: list[Text] = []
    if left:
        reasons: dict[str, list[str]] = {}
        for drive, why in left.items():
            reasons.setdefault(why, []).append(drive.serial)
        named = "; ".join(f"{', '.join(serials)} ({why})" for why, serials in reasons.items())
        sentences.append(
            advise(
                f"These drives of the pool were not wiped: {named}. When they can be, ",
                Hint(Verb.TEARDOWN, entry.guid),
                " wipes what they hold of it",
            )
        )
    if copies:
        named = ", ".join(f"{drive.id.serial} ({drive.node})" for drive in copies)
        sentences.append(
            f"These drives carry the pool's identity but are not its members, and were left "
            f"alone: {named}"
        )
    return join(sentences, ". ") if sentences else None


def tombstone(now: datetime, entry: PoolEntry, plan: Plan, left: tuple[DriveId, ...]) -> Tombstone:
    return Tombstone(
        guid=entry.guid,
        backend=entry.backend,
        label=entry.label,
        level=entry.level or "",
        filesystem=entry.filesystem,
        drives=left,
        members=remembered(entry),
        stamps=plan.stamps,
        enclosing=plan.enclosing,
        native_id=entry.native_id,
        deleted_at=now,
    )


def entry_of(stone: Tombstone) -> PoolEntry:
    """The deleted pool as far as its tombstone tells."""
    return PoolEntry(
        guid=stone.guid,
        label=stone.label,
        backend=stone.backend,
        level=stone.level or None,
        filesystem=stone.filesystem,
        native_id=stone.native_id or stone.guid,
        drive_serials=tuple(drive.serial for drive in stone.drives),
        drive_ids=stone.drives,
    )
