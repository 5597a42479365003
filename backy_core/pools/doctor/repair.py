"""Repairing what the doctor found, as one operation.

A repair is planned from a fresh inspection, both for a dry run and when it runs. It has no journal:
each of its steps may be interrupted, and the finding stays until the repair is asked for again.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple, Protocol

from backy_core.operations.claims import Claim
from backy_core.operations.kinds import OperationKind
from backy_core.operations.records import Operation
from backy_core.pools.core import Core
from backy_core.pools.lifecycle.verb import PoolVerb
from backy_core.pools.reading.dry_runs import described
from backy_core.pools.views import PlannedStep
from backy_core.sdk.errors import Conflict, InvalidRequest
from backy_core.sdk.plan import Plan

_NAMESPACE = uuid.UUID("8c0a3d0e-5a43-5f2b-9b1e-0c6d2f8f7a11")


class RepairStep(NamedTuple):
    """A step as it is shown, and the work itself."""

    shown: PlannedStep
    perform: Callable[[Operation], Awaitable[None]]


class Repair(Protocol):
    """How one finding is repaired."""

    @property
    def guid(self) -> str | None:
        """The GUID of the pool that it is about, if any."""

    @property
    def claims(self) -> tuple[Claim, ...]: ...

    async def plan(self, core: Core, op: Operation | None) -> tuple[RepairStep, ...]:
        """Inspect again and plan; change nothing. Raises what refuses the repair. ``op`` is the
        operation that will run it; None in a dry run."""


class RepairRequest(NamedTuple):
    """``confirm`` repeats the subject, which a repair that erases anything wants."""

    check: str
    subject: str
    repair: Repair
    confirm: str | None = None

    @property
    def guid(self) -> str:
        """Every operation has one: of the pool, or made up of what is repaired."""
        return self.repair.guid or str(uuid.uuid5(_NAMESPACE, f"{self.check}:{self.subject}"))


class RepairFinding(PoolVerb[RepairRequest]):
    kind = OperationKind.REPAIR

    def fingerprint(self, request: RepairRequest) -> str:
        return f"{request.check}:{request.subject}"

    def claims(self, request: RepairRequest) -> tuple[Claim, ...]:
        return request.repair.claims

    async def run(self, op: Operation, guid: str, request: RepairRequest) -> None:
        steps = await request.repair.plan(self._core, op)
        _refuse_unconfirmed(steps, request)
        op.accept()
        try:
            for number, step in enumerate(steps, 1):
                op.report(number, len(steps), step.shown.title)
                await step.perform(op)
        finally:
            await self._core.observer.refresh()


async def steps_of(core: Core, plan: Plan) -> tuple[RepairStep, ...]:
    """The steps of a plan."""
    shown = await described(plan, core.executor.binder)
    single = (plan.model_copy(update={"steps": (step,)}) for step in plan.steps)
    run = core.executor.run_unjournalled
    return tuple(
        RepairStep(planned, partial(run, plan=one))
        for planned, one in zip(shown, single, strict=True)
    )


def own_step(title: str, command: str, work: Callable[[], Awaitable[object]]) -> RepairStep:
    """A step of the agent's own, with the command that a person would type instead."""

    async def perform(op: Operation) -> None:
        op.outputs.append(f"$ {command}")
        await work()

    return RepairStep(PlannedStep(title, command, None, "none"), perform)


def _refuse_unconfirmed(steps: tuple[RepairStep, ...], request: RepairRequest) -> None:
    erasing = next((one.shown for one in steps if one.shown.effect == "destroys"), None)
    if erasing is None or request.confirm == request.subject:
        return
    hint = f"If it is not needed, repeat what is erased: {request.subject!r}"
    if request.confirm is None:
        raise InvalidRequest(f"This repair erases data: {erasing.title}", hint=hint)
    raise Conflict(f"This repair does not erase {request.confirm!r}", hint=hint)
