"""Views of pools for callers, built from the snapshot and the registry without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from backy_core.machine.snapshot import Snapshot
from backy_core.operations.kinds import OperationKind
from backy_core.operations.records import Operation, OperationState
from backy_core.pools.core import Core
from backy_core.pools.reading import forced
from backy_core.pools.reading.pool_mounts import all_mounts
from backy_core.pools.reading.state import Evidence, derive
from backy_core.pools.reading.troubles import caveat, failure, trouble
from backy_core.pools.reading.view_cache import ViewCache
from backy_core.pools.views import Creation, DriveView, PoolState, PoolView, PoolViews
from backy_core.sdk.advice import Hint, Text, Verb, advise
from backy_core.sdk.errors import NotFound
from backy_core.sdk.models import PoolReport
from backy_core.store.metadata import PoolEntry


class _Listed(NamedTuple):
    """A list and its sources."""

    snapshot: Snapshot
    entries: tuple[PoolEntry, ...]
    moving: Mapping[str, PoolView]
    """Those whose state depends on more than entry and snapshot, by GUID."""
    views: PoolViews


class PoolViewer:
    """Views are without usage: :class:`~backy_core.pools.reading.measuring.Measuring` adds it."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._cache = ViewCache()
        self._listed = _Listed(Snapshot(), (), {}, PoolViews())

    def state(self, guid: str) -> PoolState | None:
        """The pool's state; None if it is unknown."""
        return derive(self._evidence(guid))

    def view(self, guid: str) -> PoolView:
        """Raises :class:`NotFound`."""
        view = self.find(guid)
        if view is None:
            raise NotFound(f"There is no pool {guid}")
        return view

    def find(self, guid: str) -> PoolView | None:
        """As :meth:`view`; None for a pool nobody knows."""
        return self._find(guid, self._unsettled())

    def all(self) -> PoolViews:
        """Every pool that answers, remembered ones first: the same object while nothing changes."""
        snapshot, entries = self._core.observer.snapshot, self._core.metadata.entries()
        unsettled = self._unsettled()
        operated = (op.guid for op in self._core.registry.all())
        unborn = (guid for guid in operated if self._core.metadata.get(guid) is None)
        views_by_guid = {guid: self._find(guid, unsettled) for guid in (*unsettled, *unborn)}
        moving = {guid: view for guid, view in views_by_guid.items() if view is not None}
        last = self._listed
        same = (entries, moving) == (last.entries, last.moving)
        if not same or snapshot.differs_from(last.snapshot):
            views = (moving.get(guid) or self._find(guid, unsettled) for guid in self.guids())
            listed = PoolViews(view for view in views if view is not None)
            self._listed = _Listed(snapshot, entries, moving, listed)
        return self._listed.views

    def _find(self, guid: str, unsettled: frozenset[str]) -> PoolView | None:
        entry = self._core.metadata.get(guid)
        if entry is not None and guid not in unsettled:
            return self._settled(entry)
        state = self.state(guid)
        if state is None:
            return None
        if state in (PoolState.CREATING, PoolState.FAILED) or entry is None:
            return self._unborn(guid, state)
        return self._known(entry, state)

    def _unsettled(self) -> frozenset[str]:
        """Pools whose state depends on more than entry and snapshot."""
        core = self._core
        pending = (entry.opened.plan.pool.guid for entry in core.pending.values())
        return core.registry.busy_pools().union(core.opening, core.open_errors, pending)

    def _settled(self, entry: PoolEntry) -> PoolView:
        """The view of a pool whose state depends on entry and snapshot alone."""
        self._cache.follow(self._core.observer.snapshot)
        view = self._cache.get(entry)
        if view is None:
            state = derive(self._evidence(entry.guid))
            assert state is not None
            view = self._known(entry, state)
            self._cache.keep(entry, view, minds_others=self._minds_others(entry))
        return view

    def _minds_others(self, entry: PoolEntry) -> bool:
        """Whether other pools' reports matter to its view: they may be its own, or claim what is
        mounted at its path."""
        snapshot = self._core.observer.snapshot
        reported = snapshot.mounts_of(self._core.find_report(entry))
        claimable = not reported and snapshot.mounts_at(entry.last_mount_path)
        return entry.native_id is None or bool(claimable)

    def guids(self) -> tuple[str, ...]:
        """Every pool that answers, remembered ones first."""
        remembered = [entry.guid for entry in self._core.metadata.entries()]
        operation_guids = [op.guid for op in self._core.registry.all()]
        return tuple(dict.fromkeys((*remembered, *operation_guids)))

    def _evidence(self, guid: str) -> Evidence:
        core = self._core
        entry = core.metadata.get(guid)
        operations = core.registry.of_pool(guid)
        running = next((op for op in operations if op.running), None)
        last_create = _last(operations, OperationKind.CREATE)
        return Evidence(
            known=entry is not None,
            wanted=bool(entry and entry.is_mounted),
            mounted=bool(entry and self.mounted_at(entry)),
            troubled=bool(entry and self._trouble(entry)),
            creating=running is not None and running.kind is OperationKind.CREATE,
            failed=bool(last_create and not last_create.running and last_create.error),
            deleted=self._deleted_lately(operations),
            earlier=PoolState(running.earlier_state)
            if running is not None and running.earlier_state
            else None,
            opening=(guid in core.opening and guid not in core.open_errors)
            or bool(core.pending_of(guid)),
        )

    def _deleted_lately(self, operations: tuple[Operation, ...]) -> bool:
        last = _last(operations, OperationKind.DELETE)
        if last is None or last.state is not OperationState.SUCCEEDED or last.finished_at is None:
            return False
        age = (self._core.clock.now() - last.finished_at).total_seconds()
        return age < self._core.settings.deleted_retention_s

    def mounted_at(self, entry: PoolEntry) -> str | None:
        """The path where the pool is mounted and reachable; of several, preferably its own."""
        snapshot = self._core.observer.snapshot
        mounts = all_mounts(entry, self._core.find_report(entry), snapshot)
        paths = [mount.path for mount in mounts if snapshot.covers(mount) is None]
        if entry.last_mount_path in paths:
            return entry.last_mount_path
        return paths[-1] if paths else None

    def _trouble(self, entry: PoolEntry) -> Text | None:
        report, snapshot = self._core.find_report(entry), self._core.observer.snapshot
        return trouble(entry, report, snapshot)

    def _unborn(self, guid: str, state: PoolState) -> PoolView:
        """A pool without metadata: being created, failed or deleted."""
        op = _last(self._core.registry.of_pool(guid), OperationKind.CREATE)
        creation = op.subject if op and isinstance(op.subject, Creation) else None
        error = op.error_message if op and state is PoolState.FAILED else None
        if creation is None:
            return PoolView(guid=guid, label="", state=state, error_message=error)
        connected = self._core.observer.snapshot.connected
        return PoolView(
            guid=guid,
            label=creation.label,
            state=state,
            backend=creation.backend,
            level=creation.level,
            filesystem=creation.filesystem,
            mount_path=creation.mount_path,
            error_message=error,
            drives=tuple(
                DriveView(serial, creation.drive_labels.get(serial), "active", serial in connected)
                for serial in creation.drive_serials
            ),
        )

    def _known(self, entry: PoolEntry, state: PoolState) -> PoolView:
        report = self._core.find_report(entry)
        mounted = self.mounted_at(entry)
        return PoolView(
            guid=entry.guid,
            label=entry.label,
            state=state,
            pool_status=report.health if report else "inactive",
            backend=entry.backend,
            level=(report.level if report else None) or entry.level,
            filesystem=entry.filesystem,
            device=report.device if report else None,
            mount_path=mounted or entry.last_mount_path,
            created_at=entry.created_at,
            drives=self._drives(entry, report),
            sync_percent=report.sync_percent if report else None,
            sync_minutes=report.sync_minutes if report else None,
            error_message=self._why(entry, report)
            if state is PoolState.ERROR
            else caveat(entry, report, self._core.observer.snapshot),
            is_mounted=mounted is not None,
            stale_because=self._blind(entry),
            portability=entry.portability,
            opens_on=entry.opens_on,
        )

    def _drives(self, entry: PoolEntry, report: PoolReport | None) -> tuple[DriveView, ...]:
        """Remembered members in their order, then the ones only the report knows."""
        connected = self._core.observer.snapshot.connected
        members = {serial: member.state for serial, member in entry.members_in(report).items()}
        serials = dict.fromkeys((*entry.drive_serials, *members))
        return tuple(
            DriveView(
                serial=serial,
                label=entry.drive_labels.get(serial),
                status=members.get(serial, "missing" if serial in connected else "disconnected"),
                is_connected=serial in connected,
            )
            for serial in serials
        )

    def _blind(self, entry: PoolEntry) -> str | None:
        """Why nothing newer than the last known report is to be had."""
        return self._core.unseen_because(entry)

    def _why(self, entry: PoolEntry, report: PoolReport | None) -> Text:
        problem = self._trouble(entry) or self._blind(entry)
        if problem is not None:
            return problem
        snapshot = self._core.observer.snapshot
        remembered = self._core.open_errors.get(entry.guid)
        absent = [serial for serial in entry.drive_serials if serial not in snapshot.connected]
        if report is not None and report.needs_force:
            return forced.advice(entry, report, absent)
        if absent:
            return _absent(entry, absent, remembered)
        if remembered:
            return remembered
        if entry.guid in self._core.opening:
            return "It is being opened"
        if report is None:
            return "None of its drives holds this pool"
        if failed := failure(entry, report, snapshot):
            return failed
        if report.presence == "active":
            return "It is running but not mounted; mount it to use it"
        return report.detail or "It should be mounted but its device is not running"


def _absent(entry: PoolEntry, absent: list[str], remembered: str | None) -> Text:
    drives = f"Drive {absent[0]} is" if len(absent) == 1 else f"Drives {', '.join(absent)} are"
    suffix = f" ({remembered})" if remembered else ""
    return advise(
        f"{drives} not connected{suffix}. Plug in what is missing, or ",
        Hint(Verb.OPEN, entry.guid),
        " opens it without them, if the others suffice",
    )


def _last(operations: tuple[Operation, ...], kind: OperationKind) -> Operation | None:
    return next((op for op in reversed(operations) if op.kind is kind), None)
