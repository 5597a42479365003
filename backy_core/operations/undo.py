"""Roll back what a failed, cancelled or interrupted operation began.

First it reverses the begun steps, last one first, with references resolved now. Then, whatever the
result, it starts from the content of the drives: it releases the pool's container if there still
is one and wipes every drive with this pool's stamp. At the end the drives are proven clean and
free. A drive that is not connected keeps the journal entry pending until it returns.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from backy_core.machine.inventory import DriveAbsent
from backy_core.machine.observer import Observer
from backy_core.operations.actions.bound import Context
from backy_core.operations.executor import Executor
from backy_core.operations.journal import JournalEntry, Record, Undoing, Undone
from backy_core.operations.patience import Patience
from backy_core.operations.records import Operation
from backy_core.operations.resolve import NoPoolDevice
from backy_core.plugins.host import PluginHost
from backy_core.sdk.errors import BackyError
from backy_core.sdk.models import DriveId, Signature, SignatureMatch
from backy_core.sdk.plan import (
    Action,
    Blank,
    Condition,
    DriveRef,
    Free,
    MakeDir,
    Plan,
    Step,
    WipeMember,
)
from backy_core.system.clock import Clock
from backy_core.system.machine import Signatures

_ROUNDS = 3


@dataclass
class Leftovers:
    """Problems that a roll-back could not settle: by drive serial, or of the pool as a whole."""

    absent: tuple[DriveId, ...] = ()
    drives: dict[str, str] = field(default_factory=dict)
    pool: str | None = None

    @property
    def clean(self) -> bool:
        return not (self.absent or self.drives or self.pool)

    def __str__(self) -> str:
        sentences = [f"drive {drive.serial} is not connected" for drive in self.absent]
        sentences += [f"drive {serial}: {reason}" for serial, reason in self.drives.items()]
        return "; ".join(sentences + ([self.pool] if self.pool else []))


class Undoer:
    def __init__(
        self,
        executor: Executor,
        observer: Observer,
        host: PluginHost,
        signatures: Signatures,
        clock: Clock,
        patience: Patience,
    ) -> None:
        self._executor = executor
        self._probing = signatures
        self._clock = clock
        self._patience = patience
        self._observer = observer
        self._host = host

    async def undo(self, op: Operation, entry: JournalEntry, reason: str) -> Leftovers:
        """Roll back what ``entry`` began. Failures are returned, never raised.

        Only a new pool's drives are also wiped: they hold only what the plan wrote itself.
        """
        await _note(op, entry, Undoing(reason=reason))
        problem = await self._undo_steps(op, entry)
        if entry.opened.plan.new_pool and entry.touched:
            return await self.sweep(op, entry.opened.plan)
        return Leftovers(pool=problem)

    async def _undo_steps(self, op: Operation, entry: JournalEntry) -> str | None:
        """Reverse steps, last one first, up to a failure; remove made directories in any case."""
        problem = None
        for number, step in reversed(entry.begun()):
            if problem and not isinstance(step.run, MakeDir):
                continue
            try:
                await self._undo_step(op, entry.plans[number], step)
            except BackyError as error:
                problem = f"rolling back “{step.title}” failed: {error}"
                op.outputs.append(f"# {problem}")
            else:
                await _note(op, entry, Undone(round=number, step=step.id))
        return problem

    async def _undo_step(self, op: Operation, plan: Plan, step: Step) -> None:
        if not step.undo:
            return
        op.outputs.append(f"# rolling back: {step.title}")
        await self._until_done(op, plan, step.undo, step.undo_expect)

    async def _until_done(
        self,
        op: Operation,
        plan: Plan,
        actions: tuple[Action, ...],
        expect: tuple[Condition, ...],
        stable_s: float = 0,
    ) -> None:
        deadline = self._clock.monotonic() + self._patience.roll_back_s
        context = Context(plan, op.outputs.append, undoing=True)
        while True:
            try:
                for action in actions:
                    await self._perform(action, context)
                await self._executor.conditions.wait(expect, plan, within_s=5, stable_s=stable_s)
                return
            except DriveAbsent:
                raise
            except BackyError:
                if self._clock.monotonic() >= deadline:
                    raise
            await self._clock.sleep(0.5)

    async def _perform(self, action: Action, context: Context) -> None:
        try:
            bound = await self._executor.binder.bind(action, context.plan)
        except NoPoolDevice:  # nothing is left of what it would reverse
            return
        await bound.perform(context)

    async def sweep(
        self, op: Operation, plan: Plan, *, allowed: tuple[SignatureMatch, ...] = ()
    ) -> Leftovers:
        """Release and wipe whatever is still stamped as this pool; prove the drives clean.

        ``allowed``: what may stay on the drives (their content from before, not yet wiped).
        """
        leftovers = Leftovers()
        for _ in range(_ROUNDS):
            snapshot = await self._observer.refresh()
            leftovers = Leftovers(pool=await self._release(op, plan))
            connected = {drive.id for drive in snapshot.drives}
            leftovers.absent = tuple(d for d in plan.drives if d not in connected)
            for drive in plan.drives:
                if drive in connected and (problem := await self._clean(op, plan, drive, allowed)):
                    leftovers.drives[drive.serial] = problem
            if leftovers.clean:
                break
        return leftovers

    async def _release(self, op: Operation, plan: Plan) -> str | None:
        report = await self._executor.resolver.report(plan)
        if report is None or not report.assembled:
            return None
        try:
            teardown = await self._host.plan_teardown(plan.backend, plan.pool, report)
            for step in teardown.steps:
                await self._until_done(op, plan, (step.run,), step.expect, step.stable_s)
        except BackyError as error:
            return f"the pool's device could not be released: {error}"
        return None

    async def _clean(
        self, op: Operation, plan: Plan, drive: DriveId, allowed: tuple[SignatureMatch, ...]
    ) -> str | None:
        """Wipe ``drive`` if it has the stamp; return a sentence if it is not clean and free.

        A drive with only other signatures belongs to somebody else: not yet used, or used since.
        """
        on = DriveRef(drive=drive)
        wipe = WipeMember(drive=drive, bears=plan.stamps + plan.enclosing + allowed)
        try:
            found = await self._signatures(drive)
            if found and not _match(found, plan.stamps):
                return None
            if found:
                blank = (Blank(on=on), Free(on=on))
                await self._until_done(op, plan, (wipe,), blank, stable_s=self._patience.swept_s)
            if _match(await self._signatures(drive), plan.stamps):
                return "it still holds this pool's signature"
            return await self._executor.conditions.unmet((Free(on=on),), plan)
        except BackyError as error:
            return str(error)

    async def _signatures(self, identity: DriveId) -> tuple[Signature, ...]:
        drive = await self._executor.resolver.drive(identity)
        return await self._probing.probe_drive(drive.name)


def _match(signatures: Iterable[Signature], stamps: tuple[SignatureMatch, ...]) -> bool:
    return any(signature.matches(stamp) for signature in signatures for stamp in stamps)


async def _note(op: Operation, entry: JournalEntry, record: Record) -> None:
    """Write the record, but continue without it on a full disk: rolling back twice is harmless."""
    try:
        await entry.append(record)
    except OSError as error:
        op.outputs.append(f"# the journal cannot be written: {error}")
