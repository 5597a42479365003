"""Run a plan step by step. Each step is journalled before it begins and judged by its outcome.

A step succeeds when a fresh check finds its promised outcome; a bad exit status is only evidence
against it. Steps are repeated for ``retry_s`` (a disk that udev, blkid or a monitor opened for a
moment is busy, not broken), unless the program's output marks a final refusal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TypeVar

from backy_core.machine.inventory import Drive, DriveAbsent
from backy_core.machine.observer import Observer
from backy_core.operations.actions.binding import Binder, drives_of
from backy_core.operations.actions.bound import BoundAction, Context
from backy_core.operations.conditions import Conditions
from backy_core.operations.journal import Begun, Done, JournalEntry
from backy_core.operations.patience import PATIENT, Patience
from backy_core.operations.records import Operation
from backy_core.operations.resolve import Moved, Resolver
from backy_core.sdk.errors import (
    BackyError,
    Cancelled,
    Conflict,
    DriveInUse,
    DriveNotEmpty,
    SystemFailure,
)
from backy_core.sdk.plan import Condition, Exec, Plan, PoolIs, Step, drives_of_step
from backy_core.system.clock import Clock
from backy_core.system.exec import CommandFailed
from backy_core.system.machine import Machine

T = TypeVar("T")

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0
_MOST_MOVES = 10
"""How often a step's drives may change their nodes between its binding and its run."""


@dataclass
class _Running:
    """A step while it is attempted."""

    step: Step
    context: Context
    round: int = 0
    begun: Begun | None = None
    """The last record of it in the journal."""


class Executor:
    def __init__(
        self, observer: Observer, machine: Machine, clock: Clock, patience: Patience = PATIENT
    ) -> None:
        self._observer = observer
        self._machine = machine
        self._clock = clock
        self.resolver = Resolver(observer, machine.devices)
        self.conditions = Conditions(observer, self.resolver, machine, clock, patience)
        self.binder = Binder(observer, self.resolver, machine)

    async def run(self, op: Operation, entry: JournalEntry, plan: Plan) -> None:
        """Run every step. Raises at the first that fails, before any roll-back."""
        number = len(entry.plans) - 1
        proven: tuple[Condition, ...] = ()
        await self._resolve_all(plan)
        with self._observer.quiet():
            for index, step in enumerate(plan.steps, 1):
                op.check_cancelled()
                op.report(index, len(plan.steps), step.title)
                proven = await self._step(op, entry, number, plan, step)
        goal = tuple(condition for condition in plan.goal if condition not in proven)
        if unmet := await self.conditions.unmet(goal, plan, fresh=False):
            raise SystemFailure("The operation did not reach its goal", details=unmet)

    async def run_unjournalled(self, op: Operation, plan: Plan) -> None:
        """Run steps that need no recovery after a crash: those that open or close a pool to read
        its content. Raises at the first that fails."""
        for step in plan.steps:
            due = await self.conditions.unmet(step.only_if, plan) is None
            if due and not await self._is_satisfied(step, plan):
                locked = step.device_lock == "hold"
                context = Context(plan, op.outputs.append, hold_locks=locked)
                await self._attempt_until(op, _Running(step, context))

    async def _resolve_all(self, plan: Plan) -> None:
        """Find every drive the plan's steps name while nothing has changed yet.

        Raises :class:`Conflict` if one cannot be told from another drive, and
        :class:`DriveAbsent` if one is not connected.
        """
        named = dict.fromkeys(drive for step in plan.steps for drive in drives_of_step(step))
        for identity in named:
            try:
                await self.resolver.drive(identity)
            except DriveAbsent:
                raise
            except SystemFailure as error:
                raise Conflict(
                    f"Drive {identity} cannot be distinguished from another drive; nothing was "
                    "changed",
                    details=str(error),
                    hint="Connect the drives so that each has a serial, WWN or size of its own",
                ) from error

    async def _step(
        self, op: Operation, entry: JournalEntry, number: int, plan: Plan, step: Step
    ) -> tuple[Condition, ...]:
        """Answers what was just seen to hold."""
        if await self.conditions.unmet(step.only_if, plan, fresh=False) is not None:
            return ()
        if await self._is_satisfied(step, plan):
            return step.expect
        if unmet := await self.conditions.unmet(step.needs, plan):
            raise Conflict(f"{step.title} is no longer safe: {unmet}")
        context = Context(
            plan,
            op.outputs.append,
            entry,
            on_cancel=step.on_cancel,
            hold_locks=step.device_lock == "hold",
        )
        await self._attempt_until(op, _Running(step, context, number))
        # A step that began is undone, or repeated, from what is on the drives.
        entry.write(Done(round=number, step=step.id), durable=False)
        return step.expect

    async def _is_satisfied(self, step: Step, plan: Plan) -> bool:
        if step.if_satisfied == "run" or not step.expect:
            return False
        releases = any(_is_release(condition) for condition in step.expect)
        if releases and self.resolver.running_device(plan) is not None:
            return False  # no backend need be asked
        return await self.conditions.unmet(step.expect, plan, fresh=False) is None

    async def _refuse_content(
        self, entry: JournalEntry, plan: Plan, step: Step, bound: BoundAction
    ) -> None:
        """A program that makes a pool overwrites what it is given, so look once more.

        Since admission somebody may have made a filesystem, or exchanged the drive for another
        behind the same USB bridge, which gives both the same serial. What the plan's programs
        have had already is theirs. Raises :class:`DriveNotEmpty`.
        """
        if not isinstance(step.run, Exec):
            return
        reached = {d for _, s in entry.begun() if isinstance(s.run, Exec) for d in drives_of(s.run)}
        untouched = set(plan.new_members) - reached
        drives = bound.nodes.drives.items()
        new = [drive for identity, drive in drives if identity in untouched]
        await asyncio.gather(*(self._refuse_foreign(drive, plan) for drive in new))

    async def _refuse_foreign(self, drive: Drive, plan: Plan) -> None:
        probed = await self._machine.signatures.probe_drive(drive.name)
        if probed and not any(
            signature.matches(stamp) for signature in probed for stamp in plan.stamps
        ):
            raise DriveNotEmpty(
                f"Drive {drive.id} now holds {probed[0]}, which was not there when the "
                "request was accepted",
                hint="Check what is on it, then send the request again",
            )

    async def _bind(self, running: _Running) -> BoundAction:
        """Bind the step's action for one attempt, and journal it.

        A later attempt is journalled only if it differs, as when a drive was renamed.
        """
        step, context = running.step, running.context
        bound = await self.binder.bind(step.run, context.plan)
        if context.entry is None:
            return bound
        if running.begun is None:
            await self._refuse_content(context.entry, context.plan, step, bound)
        begun = Begun(
            round=running.round,
            step=step.id,
            command=bound.command(),
            disks=bound.nodes.numbers(),
        )
        if begun != running.begun:
            await context.entry.append(begun)
            running.begun = begun
        return bound

    async def _attempt_until(self, op: Operation, running: _Running) -> None:
        log = self._machine.kernel.open_kernel_log()
        try:
            await self._attempt_again(op, running)
        except Cancelled:
            raise
        except SystemFailure as error:
            kernel_lines = log.about(self._devices(running.context.plan))
            if kernel_lines:
                details = (error.details, *(f"kernel: {line}" for line in kernel_lines))
                error.details = "; ".join(filter(None, details))
            raise
        finally:
            log.close()

    def _devices(self, plan: Plan) -> tuple[str, ...]:
        """Kernel names of what the plan acts on."""
        snapshot = self._observer.snapshot
        report = snapshot.report_for(plan.backend, plan.pool.identity, plan.pool.layers)
        layers = [layer.device for layer in report.layers] if report else []
        stack = [report.device if report else None, *layers]
        pool = dict.fromkeys(device for device in stack if device)
        return (*pool, *(drive.name for drive in snapshot.drives if drive.id in plan.drives))

    async def _attempt_again(self, op: Operation, running: _Running) -> None:
        step, context = running.step, running.context
        deadline = self._clock.monotonic() + step.retry_s
        pause = _FIRST_PAUSE_S
        moves = 0
        while True:
            try:
                bound = await self._bind(running)
                await self._attempt(op, step, context, bound)
                return
            except Cancelled:
                raise
            except Moved as error:  # nothing was done: look up again
                moves += 1
                if moves > _MOST_MOVES:
                    raise _failed(step, error) from error
                continue
            except (SystemFailure, DriveInUse) as error:
                if await self._reached(step, context.plan):
                    return
                if await self.conditions.unmet(step.only_if, context.plan) is not None:
                    return  # what it was meant for is over
                if self._clock.monotonic() >= deadline or is_final(error):
                    raise _failed(step, error) from error
            await self._clock.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    async def _reached(self, step: Step, plan: Plan) -> bool:
        """Whether a failed step reached its outcome anyway.

        Only for steps with ``if_satisfied="skip"``.
        """
        if step.if_satisfied != "skip" or not step.expect:
            return False
        try:
            await self.conditions.wait(step.expect, plan, within_s=0, stable_s=step.stable_s)
        except SystemFailure:
            return False
        return True

    async def _attempt(
        self, op: Operation, step: Step, context: Context, bound: BoundAction
    ) -> None:
        reached = await _watched(op, step, bound.perform(context))
        expected = tuple(
            condition for condition in step.expect if step.stable_s or condition not in reached
        )
        await self.conditions.wait(
            expected, context.plan, within_s=step.expect_s, stable_s=step.stable_s
        )

    async def open_all(self, plan: Plan) -> None:
        """Prove that every drive of a plan can be had exclusively, all at the same time.

        The descriptors cannot be kept: mdadm and its like open exclusively themselves.
        """
        async with AsyncExitStack() as stack:
            for identity in plan.drives:
                drive = await self.resolver.drive(identity)
                await stack.enter_async_context(self._machine.devices.exclusively(drive.node))


def _is_release(condition: Condition) -> bool:
    return isinstance(condition, PoolIs) and condition.presence in ("stopped", "absent")


def is_final(error: BackyError) -> bool:
    """Whether a step fails in the same way however often it is tried.

    ``error`` is what its program raised, or what :meth:`Executor.run` made of that.
    """
    cause = error if isinstance(error, CommandFailed) else error.__cause__
    return isinstance(cause, CommandFailed) and cause.final


def _failed(step: Step, error: BackyError) -> SystemFailure:
    return SystemFailure(
        f"{step.title} failed: {error.message}", details=error.details, hint=error.hint
    )


async def _watched(op: Operation, step: Step, work: Awaitable[T]) -> T:
    """Await ``work``; say when it is slow; end it on cancel if it may be ended half-way."""
    task = asyncio.ensure_future(work)
    cancel = asyncio.ensure_future(op.cancel_requested.wait())
    interruptible = {cancel} if step.on_cancel == "term" else set()
    try:
        done, _ = await asyncio.wait(
            {task, *interruptible}, timeout=step.soft_timeout_s, return_when="FIRST_COMPLETED"
        )
        if not done:
            op.outputs.append(f"# still running after {step.soft_timeout_s:g} s: {step.title}")
            await asyncio.wait({task, *interruptible}, return_when="FIRST_COMPLETED")
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
            op.check_cancelled()
        return await task
    finally:
        cancel.cancel()
