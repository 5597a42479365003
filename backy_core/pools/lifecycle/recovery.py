"""Settling what the last run of the agent left in the journal.

Each entry becomes an ordinary operation with its claims, so changing calls on its pool wait for it.
How it is settled, its verb says (:meth:`PlannedVerb.recover`). An entry whose drive is absent stays
pending and is tried again when drives change.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from backy_core.operations.claims import Claim
from backy_core.operations.journal import JournalEntry
from backy_core.operations.records import Operation
from backy_core.pools.core import Core, expected
from backy_core.pools.lifecycle.verb import PlannedVerb
from backy_core.sdk.errors import BackyError, SystemFailure

log = logging.getLogger(__name__)

_CHILD_WAIT_S = 600.0


class Recovery:
    """``verbs``: by the kind of their plans."""

    def __init__(self, core: Core, verbs: Mapping[str, PlannedVerb[Any, Any]]) -> None:
        self._core = core
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
                log.warning("Pool %s is not recovered yet: %s", entry.plan.pool.guid, error)
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
            reason = "a program started by the previous run still works on it"
            drives = {drive.serial: reason for drive in entry.plan.drives}
            await self._core.keep(entry, reason, drives)
            raise SystemFailure("A program started by the agent's previous run has not ended")

    async def _settle(self, op: Operation, entry: JournalEntry) -> None:
        for older in self._core.pending_of(entry.plan.pool.guid):
            if older is not entry and older.commit is not None:
                await self._recover_by_verb(op, older)
        await self._recover_by_verb(op, entry)

    async def _recover_by_verb(self, op: Operation, entry: JournalEntry) -> None:
        verb = self._verbs.get(entry.opened.plan.kind)
        if verb is not None:
            await verb.recover(op, entry)
            return
        reason = f"this version of the agent cannot finish or roll back a {entry.opened.plan.kind}"
        drives = {drive.serial: reason for drive in entry.plan.drives}
        await self._core.keep(entry, reason, drives)
        raise SystemFailure(f"An interrupted operation is left as it is: {reason}")


def _newest(entries: Iterable[JournalEntry]) -> list[JournalEntry]:
    """One entry a pool, its newest: the others are settled by the same work."""
    ordered = sorted(entries, key=JournalEntry.order)
    return list({entry.opened.plan.pool.guid: entry for entry in ordered}.values())
