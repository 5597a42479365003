"""The verbs of a pool's life, each built once. A new one is entered here."""

from __future__ import annotations

from typing import Any

from backy_core.pools.core import Core
from backy_core.pools.lifecycle.add_drive import AddDrive
from backy_core.pools.lifecycle.close import Close
from backy_core.pools.lifecycle.create import Create
from backy_core.pools.lifecycle.importing import Import
from backy_core.pools.lifecycle.kill import Kill, KillThenClose, KillThenTeardown
from backy_core.pools.lifecycle.open import Open
from backy_core.pools.lifecycle.teardown import Teardown
from backy_core.pools.lifecycle.verb import PlannedVerb
from backy_core.pools.reading.viewing import PoolViewer


class Verbs:
    def __init__(self, core: Core, viewer: PoolViewer) -> None:
        self.create = Create(core)
        self.open = Open(core)
        self.close = Close(core, self.open)
        self.teardown = Teardown(core, self.close, viewer)
        self.add_drive = AddDrive(core)
        self.import_pool = Import(core)
        self.kills = (
            Kill(core, viewer),
            KillThenClose(core, viewer, self.close),
            KillThenTeardown(core, viewer, self.teardown),
        )
        """One for each action that may follow."""
        self.by_plan: dict[str, PlannedVerb[Any, Any]] = {
            verb.plan_kind: verb
            for verb in (self.create, self.open, self.close, self.teardown, self.add_drive)
        }
        """Which verb an interrupted operation is of."""
