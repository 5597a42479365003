"""A plan as it is shown before anything is run."""

from __future__ import annotations

from backy_core.operations.actions import Actions
from backy_core.pools.views import PlannedStep
from backy_core.sdk.plan import Plan


async def described(plan: Plan, actions: Actions) -> tuple[PlannedStep, ...]:
    """The steps as a person would type them."""
    return tuple(
        [
            PlannedStep(
                title=step.title,
                command=await actions.describe(step.run, plan),
                undo="; ".join([await actions.describe(action, plan) for action in step.undo])
                or None,
                effect=step.effect,
            )
            for step in plan.steps
        ]
    )
