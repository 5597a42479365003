"""Unmounting a pool: unmount it, stop its device, and look again until it stays so.

Goes forward: the wish (not mounted) is recorded with the intent, so a power cut in between
does not remount a pool that is being shelved.
"""

from __future__ import annotations

from backy_core.operations.journal import JournalEntry, Planned
from backy_core.operations.records import Operation
from backy_core.pools import steps
from backy_core.pools.core import Core, compose, expected, left_mounted, mounts_of, spec_of
from backy_core.pools.metadata import PoolEntry
from backy_core.pools.processes import processes_on
from backy_core.sdk.errors import BackyError, PoolBusy, SystemFailure
from backy_core.sdk.models import DriveId, PoolReport
from backy_core.sdk.plan import NotMounted, Plan

_ROUNDS = 3


class PoolClosing:
    def __init__(self, core: Core) -> None:
        self._core = core

    async def run(self, op: Operation, guid: str) -> None:
        """The body of an unmount. Already unmounted and stopped is done."""
        core = self._core
        entry = core.entry(guid)
        await core.observer.refresh()
        plan = await self._plan(entry)
        if plan is None:
            op.accept()
            self._wish(entry, mounted=False)
            return
        journal = await core.open_journal(op, plan)
        try:
            self._wish(entry, mounted=False)
            await self._rounds(op, journal, entry, plan)
        except Exception as error:
            await core.observer.refresh()
            if self._mounted_at(entry):  # nothing was taken away: it is still in use
                self._wish(entry, mounted=entry.is_mounted)
            await core.settle(journal)
            raise await self.explained(entry, expected(error)) from error
        await core.settle(journal)

    async def _rounds(
        self, op: Operation, journal: JournalEntry, entry: PoolEntry, plan: Plan
    ) -> None:
        """Run ``plan``, and look again until nothing is left to do."""
        core = self._core
        for _ in range(_ROUNDS):
            await core.executor.run(op, journal, plan)
            await core.observer.refresh()
            again = await self._plan(entry)
            if again is None:
                return
            plan = again
            await journal.append(Planned(plan=plan))
        raise SystemFailure(f"Pool {entry.label or entry.guid} comes back after it was stopped")

    async def _plan(self, entry: PoolEntry) -> Plan | None:
        """What is left to do; None when it is unmounted and its device is stopped."""
        core = self._core
        report = core.find_report(entry)
        paths = self._mounted_at(entry)
        held = report.presence in ("active", "inactive") if report else bool(paths)
        if not held:
            return None
        spec, draft = spec_of(entry), None
        if report is not None:
            spec = spec.model_copy(update={"native_id": report.native_id})
            draft = await core.host.plan_close(entry.backend, spec, report)
        unmounts = (steps.unmount(path) for path in reversed(paths))
        return compose(
            "close",
            core,
            spec,
            entry.backend,
            draft=draft,
            steps=(*unmounts, *(draft.steps if draft else ())),
            drives=_members(report) if report else (),
            goal=(*(draft.goal if draft else ()), *(NotMounted(path=path) for path in paths)),
        )

    def _mounted_at(self, entry: PoolEntry) -> tuple[str, ...]:
        snapshot = self._core.observer.snapshot
        report = self._core.find_report(entry)
        if report is not None:
            return mounts_of(snapshot, report)
        left = left_mounted(entry, snapshot)
        return (left,) if left else ()

    def _wish(self, entry: PoolEntry, *, mounted: bool) -> None:
        current = self._core.metadata.get(entry.guid)
        if current is not None and current.is_mounted != mounted:
            self._core.metadata.put(current.model_copy(update={"is_mounted": mounted}))
        if not mounted:
            self._core.open_errors.pop(entry.guid, None)

    async def explained(self, entry: PoolEntry, error: BackyError) -> BackyError:
        """A busy pool's error names the processes that hold it."""
        if not isinstance(error, PoolBusy):
            return error
        paths = self._mounted_at(entry)
        users = [f"{p.name} (pid {p.pid})" for path in paths for p in await processes_on(path)]
        return PoolBusy(
            f"Pool {entry.label or entry.guid} cannot be unmounted: target is busy",
            details="In use by " + ", ".join(users) if users else error.details,
        )


def _members(report: PoolReport) -> tuple[DriveId, ...]:
    return tuple(member.drive for member in report.members if member.drive is not None)
