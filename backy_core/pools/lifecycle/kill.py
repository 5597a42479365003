"""End processes that hold a pool, and then do what they stood in the way of.

A kill changes nothing of the pool and has no journal: whoever was ended stays ended.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import ClassVar

from backy_core.operations.kinds import OperationKind
from backy_core.operations.records import Operation
from backy_core.pools.admission.busy import processes_of
from backy_core.pools.core import Core
from backy_core.pools.lifecycle.close import Close
from backy_core.pools.lifecycle.teardown import Teardown
from backy_core.pools.lifecycle.verb import PoolVerb
from backy_core.pools.reading.viewing import PoolViewer
from backy_core.sdk.advice import Hint, Verb, advise
from backy_core.sdk.errors import Conflict, SystemFailure
from backy_core.system.procs import ProcessInfo


class Kill(PoolVerb[tuple[int, ...]]):
    """The request is the process ids."""

    kind = OperationKind.KILL
    action: ClassVar[str | None] = None
    """What the API calls that which follows; None: nothing."""

    def __init__(self, core: Core, viewer: PoolViewer) -> None:
        super().__init__(core)
        self._viewer = viewer

    def fingerprint(self, request: tuple[int, ...]) -> str:
        return json.dumps([sorted(request), self.action])

    async def run(self, op: Operation, guid: str, request: tuple[int, ...]) -> None:
        entry = self._core.entry(guid)
        holders = await processes_of(self._core, entry)
        if holders or self._viewer.mounted_at(entry):
            await self._end(guid, holders, request)
        op.accept()  # what was killed is not undone by a refusal of what follows

    async def _end(
        self, guid: str, holders: Collection[ProcessInfo], pids: tuple[int, ...]
    ) -> None:
        """End those of ``pids`` that live; each of them must be among ``holders``, seen just now.

        Raises :class:`Conflict`, with nothing signalled, if one lives and is not.
        """
        processes = self._core.machine.processes
        holding = {process.pid: process for process in holders}
        alive = [pid for pid in pids if processes.is_alive(pid)]
        strangers = [pid for pid in alive if pid not in holding]
        if strangers:
            raise Conflict(
                f"Process {strangers[0]} does not use this pool; no process was signalled",
                hint=advise("List them again: ", Hint(Verb.LIST_PROCESSES, guid)),
            )
        left = await processes.kill([holding[pid] for pid in alive])
        if left:
            raise SystemFailure(
                f"Process {left[0].pid} ({left[0].name}) did not end",
                details="It may wait for a drive that does not answer",
            )


class KillThenClose(Kill):
    action = "UnmountPool"

    def __init__(self, core: Core, viewer: PoolViewer, close: Close) -> None:
        super().__init__(core, viewer)
        self._close = close

    async def run(self, op: Operation, guid: str, request: tuple[int, ...]) -> None:
        await super().run(op, guid, request)
        await self._close.run(op, guid, None)


class KillThenTeardown(Kill):
    kind = OperationKind.DELETE
    action = "RemovePoolGroup"

    def __init__(self, core: Core, viewer: PoolViewer, teardown: Teardown) -> None:
        super().__init__(core, viewer)
        self._teardown = teardown

    async def run(self, op: Operation, guid: str, request: tuple[int, ...]) -> None:
        await self._teardown.check(guid)  # its refusals come before anybody is ended
        await super().run(op, guid, request)
        await self._teardown.run(op, guid)
