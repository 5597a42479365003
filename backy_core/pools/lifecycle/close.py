"""Close a pool: unmount its filesystem, stop its device, and check until both stay so.

It goes forward: the desired state (not mounted) is recorded with the intent, so a power
cut does not remount a pool that is being shelved. If it cannot go on, the filesystem is mounted
again.
"""

from __future__ import annotations

from typing import NamedTuple

from backy_core.machine.inventory import names_of
from backy_core.machine.snapshot import Snapshot
from backy_core.operations.journal import JournalEntry, Planned
from backy_core.operations.kinds import OperationKind
from backy_core.operations.records import Operation
from backy_core.pools.admission.busy import busy_error, find_holders, refuse_busy
from backy_core.pools.core import Core, compose
from backy_core.pools.lifecycle import steps
from backy_core.pools.lifecycle.open import Open
from backy_core.pools.lifecycle.sealing import seal_place
from backy_core.pools.lifecycle.verb import Direction, PlannedVerb
from backy_core.pools.reading.pool_mounts import filesystem_of
from backy_core.sdk.advice import Hint, Verb, advise
from backy_core.sdk.errors import BackyError, DriveInUse, PoolBusy, SystemFailure
from backy_core.sdk.plan import NotMounted, Plan
from backy_core.store.metadata import PoolEntry
from backy_core.system.mount_holders import Filesystem
from backy_core.system.mounts import MountEntry

_ROUNDS = 3


class CloseCase(NamedTuple):
    """A pool to close, and its filesystem as it was before."""

    entry: PoolEntry
    filesystem: Filesystem
    plan: Plan


class Close(PlannedVerb[None, CloseCase]):
    kind = OperationKind.UNMOUNT
    plan_kind = "close"
    direction = Direction.FORWARD

    def __init__(self, core: Core, open_pool: Open) -> None:
        super().__init__(core)
        self._open = open_pool

    async def dry_run(self, guid: str) -> Plan | None:
        """Plan it, with the same refusals."""
        case = await self.admit(None, guid)
        return case.plan if case else None

    async def admit(
        self, op: Operation | None, guid: str, request: None = None
    ) -> CloseCase | None:
        """Raises :class:`PoolBusy` while anything holds the pool. None: unmounted and stopped."""
        core = self._core
        entry = core.entry(guid)
        await core.observer.refresh_for(entry.backend)
        self._refuse_unseen(entry)
        plan = await self._plan(entry)
        await refuse_busy(core, entry)
        return CloseCase(entry, self._filesystem(entry), plan) if plan else None

    async def nothing_to_do(self, guid: str, request: None = None) -> None:
        await self._set_desired(guid, mounted=False)

    async def perform(self, op: Operation, journal: JournalEntry, case: CloseCase) -> None:
        await self._note_others(case.entry)
        await self._set_desired(case.entry.guid, mounted=False)
        await self._rounds(op, journal, case.entry, case.plan)
        await self._prove_gone(case.entry, case.filesystem)
        await seal_place(self._core, case.entry, op.outputs.append)

    async def fail(
        self, op: Operation, journal: JournalEntry, case: CloseCase, error: BackyError
    ) -> BackyError:
        await self._core.observer.refresh()
        explained = await self.explained(case.entry, error)
        await self._core.settle(journal)
        return await self.as_before(op, case.entry, case.filesystem.mounts, explained)

    def request_of(self, journal: JournalEntry) -> None:
        return None

    async def _rounds(
        self, op: Operation, journal: JournalEntry, entry: PoolEntry, plan: Plan
    ) -> None:
        """Run ``plan``, and look again until nothing is left to do."""
        core = self._core
        for _ in range(_ROUNDS):
            await core.executor.run(op, journal, plan)
            touched = core.executor.resolver.touched_by(plan)
            await core.observer.inspect(entry.backend, touched, fresh=False)
            again = await self._plan(entry)
            if again is None:
                return
            plan = again
            await journal.append(Planned(plan=plan))
        raise SystemFailure(f"Pool {entry.title} came back after it was stopped")

    async def _prove_gone(self, entry: PoolEntry, was: Filesystem) -> None:
        """Prove that device and holders are gone, independently of the backend's report."""
        snapshot = self._core.observer.snapshot
        left = [name for name in was.devices if _same_device(snapshot, was, name)]
        if left:
            raise SystemFailure(
                f"Pool {entry.title} is not stopped",
                details=f"Its device /dev/{left[0]} is still there",
                hint=advise(Hint(Verb.SHOW_OUTPUTS, entry.guid), " shows what was tried"),
            )
        if was.devices:  # the kernel lets none go that is mounted or held open
            return
        # The number of a device that is gone may be another's by now.
        numbers = frozenset(number for number in was.numbers if _anonymous(number))
        rest = Filesystem((), numbers, sources=was.sources)
        if holders := await self._core.machine.processes.find_holders(rest):
            raise busy_error(entry, holders)

    async def as_before(
        self, op: Operation, entry: PoolEntry, mounts: tuple[MountEntry, ...], error: BackyError
    ) -> BackyError:
        """Mount again what was taken away; the error to raise."""
        if mounts and not self.mounted_at(entry):
            op.outputs.append("# mounting it again")
            try:
                await self._open.put_back(op, entry.guid, mounts[0])
            except BackyError as problem:
                self._core.open_errors[entry.guid] = f"Unmounting it failed half-way: {error}"
                error.details = f"{error.details or error.message}. Not mounted again: {problem}"
        await self._set_desired(entry.guid, mounted=entry.is_mounted)
        return error

    async def _plan(self, entry: PoolEntry) -> Plan | None:
        """Plan the remaining work; None when it is unmounted and its device is stopped.

        Raises :class:`SystemFailure` for a device that the backend does not report: it could not
        be stopped once the filesystem is unmounted.
        """
        core = self._core
        report, filesystem = core.find_report(entry), self._filesystem(entry)
        paths = filesystem.paths
        held = report is not None and report.assembled
        if not (held or paths or filesystem.devices):
            return None
        if filesystem.devices and not held:
            raise self._unseen(entry, filesystem)
        spec, draft = entry.spec(report if held else None), None
        if report is not None and held:
            draft = await core.host.plan_close(entry.backend, spec, report)
        unmounts = (steps.unmount(path) for path in paths)
        return compose(
            "close",
            core,
            spec,
            entry.backend,
            draft=draft,
            steps=(*unmounts, *(draft.steps if draft else ())),
            drives=report.drives if report else (),
            goal=(*(draft.goal if draft else ()), *(NotMounted(path=path) for path in paths)),
        )

    def _unseen(self, entry: PoolEntry, filesystem: Filesystem) -> SystemFailure:
        problem = self._core.unseen_because(entry)
        where = f"mounted at {filesystem.paths[0]}" if filesystem.paths else "not mounted"
        return SystemFailure(
            f"Backend {entry.backend} does not report pool {entry.title} as running, so it "
            "cannot be stopped",
            details=f"Its device /dev/{filesystem.devices[0]} is there, {where}"
            + (f". {problem}" if problem else ""),
            hint="Nothing was changed. Check the drives and the kernel log, then try again",
        )

    def _filesystem(self, entry: PoolEntry) -> Filesystem:
        return filesystem_of(entry, self._core.find_report(entry), self._core.observer.snapshot)

    def _refuse_unseen(self, entry: PoolEntry) -> None:
        """Refuse a pool that its backend cannot report while something still holds its drives."""
        snapshot = self._core.observer.snapshot
        unseen = self._core.unseen_because(entry)
        report = self._core.find_report(entry)
        held = [
            drive.id.serial
            for drive in snapshot.drives
            if drive.id.serial in entry.drive_serials
            and {device.name for device in drive.device.walk()} > set(names_of(drive.device))
        ]
        if unseen and (held or (report and report.assembled)):
            raise SystemFailure(unseen)

    def mounted_at(self, entry: PoolEntry) -> tuple[MountEntry, ...]:
        return self._filesystem(entry).mounts

    async def _note_others(self, entry: PoolEntry) -> None:
        """Record what else a pool with its own filesystem holds: visible only while it is open."""
        report = self._core.find_report(entry)
        if report and report.presence == "active":
            await self._core.metadata.revise(
                entry.guid, lambda entry: entry.model_copy(update={"others": report.others})
            )

    async def _set_desired(self, guid: str, *, mounted: bool) -> None:
        await self._core.metadata.revise(
            guid, lambda entry: entry.model_copy(update={"is_mounted": mounted})
        )
        if not mounted:
            self._core.open_errors.pop(guid, None)

    async def explained(self, entry: PoolEntry, error: BackyError) -> BackyError:
        """A busy pool's error names what holds it."""
        if not isinstance(error, PoolBusy | DriveInUse | SystemFailure):
            return error
        holders_found = await find_holders(self._core, entry)
        holders = [holder for holder in holders_found if not holder.passing]
        if holders or isinstance(error, PoolBusy):
            return busy_error(entry, holders, error.details)
        return error


def _same_device(snapshot: Snapshot, was: Filesystem, name: str) -> bool:
    """Whether the name still belongs to the device it named before."""
    device = snapshot.device_named(name)
    return device is not None and was.sequences.get(name) in (None, device.diskseq)


def _anonymous(number: str) -> bool:
    """Whether it numbers a filesystem without a block device of its own: btrfs, ZFS."""
    return number.startswith("0:")
