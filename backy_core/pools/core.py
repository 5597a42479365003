"""Parts that the use cases share, and the common ways to record and settle their work."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

from backy_core.config.settings import Settings
from backy_core.machine.observer import Observer
from backy_core.machine.snapshot import Snapshot
from backy_core.operations.executor import Executor
from backy_core.operations.journal import Journal, JournalEntry, Opened, Stuck
from backy_core.operations.records import Operation
from backy_core.operations.registry import OperationRegistry
from backy_core.operations.undo import Leftovers, Undoer
from backy_core.plugins.host import PluginHost
from backy_core.sdk.errors import BackyError, NotFound, SystemFailure, UndoFailed
from backy_core.sdk.models import DriveId, PoolReport, PoolSpec, SignatureMatch
from backy_core.sdk.plan import BackendPlan, Condition, Plan, Step
from backy_core.store.changes import Changes
from backy_core.store.metadata import MetadataStore, PoolEntry
from backy_core.store.protection import ProtectionStore
from backy_core.store.tombstones import Tombstones
from backy_core.system.clock import Clock
from backy_core.system.machine import Machine

log = logging.getLogger(__name__)


@dataclass
class Core:
    """The parts, composed once in ``runtime.py``."""

    settings: Settings
    machine: Machine
    clock: Clock
    host: PluginHost
    observer: Observer
    registry: OperationRegistry
    journal: Journal
    metadata: MetadataStore
    tombstones: Tombstones
    protection: ProtectionStore
    executor: Executor
    undoer: Undoer
    changes: Changes
    pending: dict[str, JournalEntry] = field(default_factory=dict)
    """Journal entries that could not be settled, by operation id."""
    opening: dict[str, asyncio.Event] = field(default_factory=dict)
    """Pools that start-up has yet to open, by GUID, with what is set when it has tried."""
    open_errors: dict[str, str] = field(default_factory=dict)
    """Why a pool that should be mounted is not, by GUID; empty until that is known."""
    unwritten: list[JournalEntry] = field(default_factory=list)
    """Committed work that the metadata file, on a full disk, does not have yet."""

    def __post_init__(self) -> None:
        self.metadata.on_written = self._settle_unwritten

    def entry(self, guid: str) -> PoolEntry:
        """The remembered pool; raises :class:`NotFound`."""
        entry = self.metadata.get(guid)
        if entry is None:
            raise NotFound(f"There is no pool {guid}")
        return entry

    def quarantined(self) -> dict[str, str]:
        """Drives that an interrupted or failed roll-back left quarantined: serial and reason."""
        reasons = dict(self.journal.doubtful)
        for entry in self.pending.values():
            if entry.stuck is not None and entry.commit is None:
                reasons.update(entry.stuck.drives)
        return reasons

    def pending_of(self, guid: str) -> tuple[JournalEntry, ...]:
        """This pool's unsettled entries, oldest first."""
        entries = (e for e in self.pending.values() if e.opened.plan.pool.guid == guid)
        return tuple(sorted(entries, key=JournalEntry.order))

    async def open_journal(
        self, op: Operation, plan: Plan, subject: dict[str, Any] | None = None
    ) -> JournalEntry:
        """Write the promise; when this returns the operation is accepted."""
        entry = await self.journal.open(
            Opened(
                operation=op.id,
                kind=op.kind,
                boot_id=self.machine.kernel.boot_id(),
                at=self.clock.now().isoformat(),
                plan=plan,
                subject=subject or {},
            )
        )
        op.accept()
        return entry

    async def settle(self, entry: JournalEntry) -> None:
        """The operation's work is over, one way or the other."""
        await entry.close()
        self.pending.pop(entry.opened.operation, None)

    async def remember(self, entry: JournalEntry, pool_entry: PoolEntry) -> None:
        """Record in the metadata what the commit record promises, and end the operation's work.

        If the metadata file cannot be written, the commit still stands: the journal keeps the
        promise until it can be written, or for the next start.
        """
        if await self.metadata.promise(pool_entry):
            await self.settle(entry)
        else:
            self.pending.pop(entry.opened.operation, None)
            self.unwritten.append(entry)

    def _settle_unwritten(self) -> None:
        while self.unwritten:
            self.unwritten.pop().remove()

    async def keep(
        self,
        entry: JournalEntry,
        reason: str,
        drives: dict[str, str],
        *,
        holds_data: bool = False,
    ) -> None:
        """Keep an unsettled entry for the next start, with its drives quarantined."""
        stuck = Stuck(reason=reason, drives=drives, holds_data=holds_data)
        self.pending[entry.opened.operation] = entry
        try:
            await entry.append(stuck)
        except OSError as error:  # a full disk: the drives are set apart all the same
            entry.records.append(stuck)
            log.error("journal entry %s: %s", entry.opened.operation, error)

    async def undo(self, op: Operation, entry: JournalEntry, reason: str) -> Leftovers:
        """Roll back the entry's steps. Errors are returned as leftovers, never raised."""
        try:
            return await self.undoer.undo(op, entry, reason)
        except Exception as problem:
            return Leftovers(pool=f"the roll-back stopped: {expected(problem)}")

    async def fail(self, op: Operation, entry: JournalEntry, error: BackyError) -> BackyError:
        """Roll back the entry's steps and return the error to raise: ``error``, or one that says
        that the roll-back failed too."""
        leftovers = await self.undo(op, entry, str(error))
        if leftovers.clean:
            if not op.interrupted:  # else the entry tells the next start what became of it
                await self.settle(entry)
            return error
        await self.keep(entry, str(leftovers), doubtful(entry.plan, leftovers))
        return UndoFailed(
            f"{error.message}; the roll-back failed, so its drives are quarantined",
            details=f"{error.details or error.message}. Left over: {leftovers}",
        )

    def find_report(self, entry: PoolEntry, snapshot: Snapshot | None = None) -> PoolReport | None:
        """The report of a remembered pool."""
        looked = snapshot or self.observer.snapshot
        if entry.native_id is None:
            return self._legacy_report(entry, looked)
        return looked.report_for(entry.backend, entry.native_id, entry.layers)

    def _legacy_report(self, entry: PoolEntry, snapshot: Snapshot) -> PoolReport | None:
        """The earlier agent remembered serials only: the pool with exactly these members."""
        remembered_serials = set(entry.drive_serials)
        for report in snapshot.reports.get(entry.backend, ()):
            if {drive.serial for drive in report.drives} == remembered_serials:
                return report
        return None

    def unseen_because(self, entry: PoolEntry, snapshot: Snapshot | None = None) -> str | None:
        """Why nothing new can be told of a remembered pool: its backend or a layer fails, or what
        would tell of it cannot be read. None: what :meth:`find_report` gives is so."""
        looked = snapshot or self.observer.snapshot
        report = self.find_report(entry, looked)
        return looked.unseen_because(
            entry.backend, report, entry.drive_serials
        ) or self.observer.layers_unseen_because(entry.layers)

    def claimed_identities(self) -> frozenset[tuple[str, str]]:
        """(backend, native id) of every remembered pool."""
        return frozenset(
            (entry.backend, report.native_id)
            for entry in self.metadata.entries()
            if (report := self.find_report(entry)) is not None
        )


def doubtful(plan: Plan, leftovers: Leftovers) -> dict[str, str]:
    """Drives to quarantine, with reasons: those not proven clean, or all if the pool remains."""
    if leftovers.pool:
        return {
            d.serial: f"a roll-back left it in an unknown state ({leftovers})" for d in plan.drives
        }
    absent = {drive.serial: "it was absent" for drive in leftovers.absent}
    return {**leftovers.drives, **absent}


def compose(
    kind: str,
    core: Core,
    pool: PoolSpec,
    backend: str,
    *,
    steps: tuple[Step, ...],
    drives: tuple[DriveId, ...],
    draft: BackendPlan | None = None,
    goal: tuple[Condition, ...] = (),
    stamps: tuple[SignatureMatch, ...] = (),
    new_pool: bool = False,
    new_members: tuple[DriveId, ...] = (),
) -> Plan:
    """A whole plan from a backend's draft and the core's steps."""
    loaded = core.host.backends.get(backend)
    return Plan(
        kind=kind,
        backend=backend,
        plugin_version=loaded.info.version if loaded else "",
        pool=pool,
        drives=drives,
        new_pool=new_pool,
        new_members=new_members,
        delivers=draft.delivers if draft else "block",
        stamps=draft.stamps if draft else stamps,
        enclosing=draft.enclosing if draft else (),
        steps=steps,
        goal=goal,
    )


def mounts_of(snapshot: Snapshot, report: PoolReport | None) -> tuple[str, ...]:
    """Mount paths of a reported pool's filesystem, the innermost last. ``pool_mounts`` also covers
    remembered pools."""
    return tuple(mount.path for mount in snapshot.mounts_of(report))


def reachable(snapshot: Snapshot, report: PoolReport | None) -> tuple[str, ...]:
    """As :func:`mounts_of`, without the places that another mount covers."""
    mounts = snapshot.mounts_of(report)
    return tuple(mount.path for mount in mounts if snapshot.covers(mount) is None)


def expected(error: Exception) -> BackyError:
    """Convert any failure to a :class:`BackyError`: a defect of the agent is rolled back like a
    failure of the machine."""
    if isinstance(error, BackyError):
        return error
    if isinstance(error, OSError):
        return SystemFailure("A system call failed", details=str(error))
    log.error("An operation failed with an internal error", exc_info=error)
    return SystemFailure("An internal error occurred", details=repr(error))
