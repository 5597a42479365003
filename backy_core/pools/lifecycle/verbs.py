"""The verbs of a pool's life, each built once. A new one is entered here."""

from __future__ import annotations

from typing import Any

from backy_core.pools.core import Core
from backy_core.pools.lifecycle.create import Create
from backy_core.pools.lifecycle.verb import PlannedVerb


class Verbs:
    def __init__(self, core: Core) -> None:
        self.create = Create(core)
        self.by_plan: dict[str, PlannedVerb[Any, Any]] = {
            verb.plan_kind: verb for verb in (self.create,)
        }
        """Which verb an interrupted operation is of."""
