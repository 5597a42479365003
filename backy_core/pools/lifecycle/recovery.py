"""Settling what the last run of the agent left in the journal.

Each entry becomes an ordinary operation with its claims, so changing calls on its pool wait for it.
How it is settled, its verb says (:meth:`PlannedVerb.recover`); a teardown goes forward, planned
again from what is seen. An entry whose drive is absent stays pending and is tried again when drives
change.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from backy_core.operations.claims import Claim
from backy_core.operations.journal import JournalEntry
from backy_core.operations.records import Operation
from backy_core.pools.core import Core, expected, mounts_of
from backy_core.pools.lifecycle.teardown import PoolTeardown, remove_made_directories
from backy_core.pools.lifecycle.verb import PlannedVerb
from backy_core.pools.reading.members import Consent
from backy_core.sdk.advice import Hint, Verb, advise
from backy_core.sdk.errors import BackyError, Conflict, SystemFailure
from backy_core.sdk.plan import Unmount
from backy_core.store.metadata import PoolEntry
from backy_core.store.tombstones import Tombstone

log = logging.getLogger(__name__)

_CHILD_WAIT_S = 600.0


class Recovery:
    def __init__(
        self,
        core: Core,
        teardown: PoolTeardown,
        verbs: Mapping[str, PlannedVerb[Any, Any]],
    ) -> None:
        self._core = core
        self._teardown = teardown
        self._verbs = verbs

    def begin(self) -> list[Operation]:
        """Start a recovery for every entry; call before the API serves changes."""
        self._core.machine.kernel.remove_stale()
        entries = self._core.journal.load()
        for entry in entries:
            self._core.pending[entry.opened.operation] = entry
        return self._start_all(_newest(entries))

    def retry(self) -> None:
        """Try pending entries again whose pool nothing is working on."""
        self._start_all(
            entry
            for entry in _newest(self._core.pending.values())
            if self._core.registry.running_on(entry.opened.plan.pool.guid) is None
        )

    def _start_all(self, entries: Iterable[JournalEntry]) -> list[Operation]:
        started = []
        for entry in entries:
            try:
                started.append(self._start(entry))
            except BackyError as error:  # its drives are claimed; it stays pending
                log.warning("pool %s is not recovered yet: %s", entry.plan.pool.guid, error)
        return started

    def _start(self, entry: JournalEntry) -> Operation:
        plan = entry.opened.plan
        op = self._core.registry.start(
            entry.opened.kind,
            plan.pool.guid,
            f"recovery {entry.opened.operation}",
            [Claim("drive", drive.serial) for drive in plan.drives],
            lambda op: self._recover(op, entry),
            label=plan.pool.label,
            cancellable=False,
        )
        op.recovers = True
        op.accept()
        return op

    async def _recover(self, op: Operation, entry: JournalEntry) -> None:
        await self._wait_for_children(entry)
        try:
            await self._settle(op, entry)
        except Exception as error:
            raise expected(error) from error
        finally:
            await self._core.observer.refresh()

    async def _wait_for_children(self, entry: JournalEntry) -> None:
        """Wait for programs of the dead agent: a roll-back would race them.

        Raises :class:`SystemFailure` while one runs (it waits for a disk that does not answer).
        """
        machine = self._core.machine
        gone = await asyncio.gather(
            *(
                machine.programs.wait_for_exit(child.pid, child.start_time, _CHILD_WAIT_S)
                for child in entry.children
                if entry.opened.boot_id == machine.kernel.boot_id()
            )
        )
        if not all(gone):
            reason = "a program of the last run still works on it"
            drives = {drive.serial: reason for drive in entry.plan.drives}
            await self._core.keep(entry, reason, drives)
            raise SystemFailure("A program that the last run of the agent started has not ended")

    async def _settle(self, op: Operation, entry: JournalEntry) -> None:
        for older in self._core.pending_of(entry.plan.pool.guid):
            if older is not entry and older.commit is not None:
                await self._settle_one(op, older)
        await self._settle_one(op, entry)

    async def _settle_one(self, op: Operation, entry: JournalEntry) -> None:
        verb = self._verbs.get(entry.opened.plan.kind)
        if verb is not None:
            await verb.recover(op, entry)
            return
        if entry.commit is not None:
            await self._repeat_commit(op, entry)
            return
        if entry.opened.plan.kind == "teardown":
            await self._finish_teardown(op, entry)

    async def _repeat_commit(self, op: Operation, entry: JournalEntry) -> None:
        core, commit = self._core, entry.commit
        assert commit is not None
        pool_entry = core.metadata.get(entry.opened.plan.pool.guid)
        if commit.entry is not None:
            await core.metadata.put(PoolEntry.model_validate(commit.entry))
        if commit.tombstone is not None:
            await core.tombstones.add(Tombstone.model_validate(commit.tombstone))
        if entry.opened.plan.kind == "teardown" and pool_entry is not None:
            await remove_made_directories(core, op, entry, pool_entry)
            await core.metadata.remove(pool_entry.guid)
        await core.settle(entry)

    async def _settle_alike(self, entry: JournalEntry) -> None:
        """A recovery that was interrupted itself left an entry of its own beside the first."""
        for pending in self._core.pending_of(entry.plan.pool.guid):
            if pending.plan.kind == entry.plan.kind:
                await self._core.settle(pending)

    async def _finish_teardown(self, op: Operation, entry: JournalEntry) -> None:
        guid = entry.opened.plan.pool.guid
        pool_entry = self._core.metadata.get(guid)
        if pool_entry is None:
            await self._settle_alike(entry)
            return
        if await self._mounted_since(entry, pool_entry):
            await self._settle_alike(entry)
            await self._core.metadata.put(pool_entry.model_copy(update={"is_mounted": True}))
            raise Conflict(
                f"Deleting pool {pool_entry.title} failed, and it has been mounted since",
                hint=advise("Delete it again: ", Hint(Verb.TEARDOWN, guid)),
            )
        try:
            await self._teardown.run(op, guid, Consent.of_subject(entry.opened.subject))
        except BackyError as error:
            if entry.opened.operation in self._core.pending:
                await self._core.keep(entry, str(error), {})
            raise

    async def _mounted_since(self, entry: JournalEntry, pool_entry: PoolEntry) -> bool:
        """Whether somebody mounted the pool after its deletion had unmounted it, or since the
        machine was started: then the journal is older than that use."""
        snapshot = await self._core.observer.refresh()
        paths = set(mounts_of(snapshot, self._core.find_report(pool_entry, snapshot)))
        if entry.opened.boot_id != self._core.machine.kernel.boot_id():
            return bool(paths)
        gone = {step.run.path for step in entry.done() if isinstance(step.run, Unmount)}
        return not paths.isdisjoint(gone)


def _newest(entries: Iterable[JournalEntry]) -> list[JournalEntry]:
    """One entry a pool, its newest: the others are settled by the same work."""
    ordered = sorted(entries, key=JournalEntry.order)
    return list({entry.opened.plan.pool.guid: entry for entry in ordered}.values())
