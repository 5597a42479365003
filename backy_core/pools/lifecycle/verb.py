"""The flow that every verb of a pool's life runs through, and what a verb has to say for itself.

A verb is one class in one module. The flow around it is written here, once:

    admit → journal: opened → perform → journal: commit → conclude → journal: closed
                                  ↓
                                 fail

After a crash the next start asks the verb of each journal entry to :meth:`~PlannedVerb.recover`: a
committed operation is concluded again, any other goes back or forward.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from enum import Enum
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from backy_core.operations.claims import Claim
from backy_core.operations.journal import Commit, JournalEntry
from backy_core.operations.kinds import OperationKind
from backy_core.operations.records import Operation
from backy_core.pools.core import Core, expected
from backy_core.sdk.errors import BackyError
from backy_core.sdk.plan import Plan
from backy_core.store.metadata import PoolEntry

log = logging.getLogger(__name__)

RESTARTED = "the agent restarted"


class Direction(Enum):
    """Which way an operation goes if the agent dies before its commit."""

    BACK = "back"
    FORWARD = "forward"
    BACK_UNTIL_PIVOT = "back until a pivot step began, then forward"


class Case(Protocol):
    """One run of a verb, as it was admitted. Verbs add what else they decided."""

    @property
    def plan(self) -> Plan: ...


RequestT = TypeVar("RequestT")
CaseT = TypeVar("CaseT", bound=Case)


class PoolVerb(ABC, Generic[RequestT]):
    """What can be done to a pool, as one operation."""

    kind: ClassVar[OperationKind]
    """Its name in the API and in the journal."""
    cancellable: ClassVar[bool] = False

    def __init__(self, core: Core) -> None:
        self._core = core

    def fingerprint(self, request: RequestT) -> str:
        """Equal for requests that mean the same: a repeated one joins the running operation."""
        return ""

    def claims(self, request: RequestT) -> tuple[Claim, ...]:
        """Claims to take before admission, beside the one on the pool."""
        return ()

    @abstractmethod
    async def run(self, op: Operation, guid: str, request: RequestT) -> None:
        """The body of the operation."""


class PlannedVerb(PoolVerb[RequestT], Generic[RequestT, CaseT]):
    """A verb that runs a plan under the journal. Subclasses fill in the flow and never open,
    commit or close a journal entry themselves."""

    plan_kind: ClassVar[str]
    """``Plan.kind`` of its plans; recovery finds the verb of an interrupted operation by it."""
    direction: ClassVar[Direction]

    # the flow

    async def run(self, op: Operation, guid: str, request: RequestT) -> None:
        case = await self.admit(op, guid, request)
        if case is None:
            op.accept()
            await self.nothing_to_do(guid, request)
        else:
            await self.carry_out(op, case)

    async def carry_out(self, op: Operation, case: CaseT) -> None:
        """Everything after admission."""
        with self._core.observer.quiet():
            await self._carry_out(op, case)

    async def _carry_out(self, op: Operation, case: CaseT) -> None:
        journal = await self._core.open_journal(op, case.plan, self.subject(case))
        try:
            commit = await self.perform(op, journal, case)
            if commit is not None:
                await journal.append(commit)
        except Exception as error:
            raise await self.fail(op, journal, case, expected(error)) from error
        await self.conclude(op, journal)

    async def recover(self, op: Operation, journal: JournalEntry) -> None:
        """Settle an operation of an earlier run. Raises what its pool's owner should know."""
        if journal.commit is not None:
            await self.conclude(op, journal)
        elif await self.goes_forward(journal):
            await self.go_forward(op, journal)
        else:
            await self.go_back(op, journal)

    # what a verb says

    @abstractmethod
    async def admit(self, op: Operation, guid: str, request: RequestT) -> CaseT | None:
        """Check and plan; change nothing. None: the pool is as requested already.

        Raises what refuses the request, which then never existed.
        """

    def subject(self, case: CaseT) -> dict[str, Any]:
        """What the journal keeps beside the plan, for the recovery."""
        return {}

    async def nothing_to_do(self, guid: str, request: RequestT) -> None:
        """Record the desired state of a pool that needs no work."""

    @abstractmethod
    async def perform(self, op: Operation, journal: JournalEntry, case: CaseT) -> Commit | None:
        """Run the plan, in as many rounds as it takes. Returns the commit record; None where
        repeating the whole operation is harmless."""

    async def fail(
        self, op: Operation, journal: JournalEntry, case: CaseT, error: BackyError
    ) -> BackyError:
        """Roll back what :meth:`perform` began, or leave it to go on later. Returns the error to
        raise."""
        if await self.goes_forward(journal):
            await self._core.keep(journal, str(error), {})
            return error
        return await self._core.fail(op, journal, error)

    async def conclude(self, op: Operation, journal: JournalEntry) -> None:
        """Keep the promise of the commit record. Idempotent: repeated after a crash."""
        commit = journal.commit
        if commit is not None and commit.entry is not None:
            await self.remember(journal, PoolEntry.model_validate(commit.entry))
        else:
            await self._core.settle(journal)

    async def remember(self, journal: JournalEntry, entry: PoolEntry) -> None:
        """Put the committed entry into the metadata, and settle the journal's."""
        await self._core.remember(journal, entry)

    # after a crash, before the commit

    async def goes_forward(self, journal: JournalEntry) -> bool:
        if self.direction is Direction.BACK_UNTIL_PIVOT:
            return journal.began("pivot")
        return self.direction is Direction.FORWARD

    async def go_back(self, op: Operation, journal: JournalEntry) -> None:
        """Roll back, and settle the entry whatever could not be rolled back."""
        leftovers = await self._core.undo(op, journal, RESTARTED)
        if not leftovers.clean:
            log.warning("Pool %s: %s", journal.opened.plan.pool.guid, leftovers)
        await self._core.settle(journal)

    async def go_forward(self, op: Operation, journal: JournalEntry) -> None:
        """Do it again, planned from what is seen now, unless the pool was forgotten since."""
        guid = journal.opened.plan.pool.guid
        try:
            if self._core.metadata.get(guid) is not None:
                await self.run(op, guid, self.request_of(journal))
        finally:
            await self.settle_alike(journal)

    def request_of(self, journal: JournalEntry) -> RequestT:
        """The request of an interrupted operation, for :meth:`go_forward`."""
        raise NotImplementedError

    async def settle_alike(self, journal: JournalEntry) -> None:
        """Settle the entry, and one that a recovery left beside it that was interrupted itself."""
        for pending in self._core.pending_of(journal.plan.pool.guid):
            if pending.plan.kind == self.plan_kind:
                await self._core.settle(pending)


def committing(entry: PoolEntry) -> Commit:
    """The commit record of an operation that leaves the pool as ``entry``."""
    return Commit(entry=entry.as_json())
