"""A plan as it is shown before anything is run."""

from __future__ import annotations

from backy_core.operations.actions.binding import Binder
from backy_core.pools.views import PlannedStep
from backy_core.sdk.plan import Plan


async def described(plan: Plan, binder: Binder) -> tuple[PlannedStep, ...]:
    """The steps as a person would type them."""
    return tuple(
        [
            PlannedStep(
                title=step.title,
                command=await binder.preview(step.run, plan),
                undo="; ".join([await binder.preview(action, plan) for action in step.undo])
                or None,
                effect=step.effect,
            )
            for step in plan.steps
        ]
    )
