"""Changed pools as listeners are told of them: with what the agent remembers of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from backy_core.machine.snapshot import Snapshot
from backy_core.pools.core import Core
from backy_core.sdk.events import PoolChange, PoolDrive, RememberedPool
from backy_core.store.metadata import PoolEntry


def changes_between(core: Core, before: Snapshot, after: Snapshot) -> Iterator[PoolChange]:
    """The pools whose reports differ, by backend and native id."""
    changes = tuple(after.changes_since(before, core.clock.now()))
    entries = _by_identity(core, core.metadata.entries()) if changes else {}
    models = {**_models(before), **_models(after)} if entries else {}
    for change in changes:
        report = change.after or change.before
        entry = entries.get((change.backend, report.native_id)) if report else None
        pool = _remembered(core, entry, models) if entry else None
        yield change.model_copy(update={"pool": pool})


def pools_at_start(core: Core) -> tuple[PoolChange, ...]:
    """Every pool that is reported or remembered, but for those that start-up has yet to open."""
    reported = tuple(changes_between(core, Snapshot(), core.observer.snapshot))
    guids = {change.pool.guid for change in reported if change.pool}
    absent = (entry for entry in core.metadata.entries() if entry.guid not in guids)
    changes = (*reported, *(pool_found(core, entry) for entry in absent))
    return tuple(
        change for change in changes if change.pool is None or change.pool.guid not in core.opening
    )


def pool_found(core: Core, entry: PoolEntry) -> PoolChange:
    """A remembered pool as it is now."""
    snapshot = core.observer.snapshot
    return PoolChange(
        backend=entry.backend,
        seen_at=core.clock.now(),
        before=None,
        after=core.find_report(entry),
        pool=_remembered(core, entry, _models(snapshot)),
    )


def _by_identity(core: Core, entries: Iterable[PoolEntry]) -> Mapping[tuple[str, str], PoolEntry]:
    """Entries by backend and native id; those of the earlier agent by their report's."""
    identified = {}
    for entry in entries:
        report = None if entry.native_id else core.find_report(entry)
        native_id = entry.native_id or (report and report.native_id)
        if native_id:
            identified[entry.backend, native_id] = entry
    return identified


def _remembered(core: Core, entry: PoolEntry, models: Mapping[str, str | None]) -> RememberedPool:
    sizes = {drive.serial: drive.size for drive in entry.drive_ids}
    return RememberedPool(
        guid=entry.guid,
        label=entry.label,
        should_be_mounted=entry.is_mounted,
        busy=entry.guid in core.opening or core.registry.running_on(entry.guid) is not None,
        drives=tuple(
            PoolDrive(
                serial=serial,
                size=sizes.get(serial),
                model=models.get(serial),
                label=entry.drive_labels.get(serial, ""),
            )
            for serial in entry.drive_serials
            if serial not in entry.leaving
        ),
    )


def _models(snapshot: Snapshot) -> dict[str, str | None]:
    return {drive.id.serial: drive.device.model for drive in snapshot.drives}
