"""An action whose drives and pool device have been looked up.

A dry run, the journal and the operation's output all show :meth:`BoundAction.command`. Every action
is idempotent. Destructive actions probe their target again right before they write.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal, NamedTuple

from backy_core.machine.happened import Touched
from backy_core.machine.observer import Observer
from backy_core.operations.journal import Child, JournalEntry
from backy_core.operations.resolve import Nodes, Resolver
from backy_core.sdk.errors import SystemFailure
from backy_core.sdk.plan import Condition, Plan
from backy_core.system.machine import Machine

_LOCK_S = 30.0


class Context(NamedTuple):
    """The operation around an action. ``write`` takes output lines."""

    plan: Plan
    write: Callable[[str], None]
    entry: JournalEntry | None = None
    undoing: bool = False
    on_cancel: Literal["wait", "term"] = "wait"
    hold_locks: bool = True


@dataclass(frozen=True)
class Binding:
    """The nodes an action is bound to, and the parts of the agent it uses."""

    plan: Plan
    nodes: Nodes
    machine: Machine
    observer: Observer
    resolver: Resolver


class BoundAction(ABC):
    """An action for one attempt. The next attempt binds it again."""

    def __init__(self, binding: Binding) -> None:
        self.nodes = binding.nodes
        self._plan = binding.plan
        self._machine = binding.machine
        self._observer = binding.observer
        self._resolver = binding.resolver

    @abstractmethod
    def command(self) -> str:
        """The command as a person would type it."""

    @abstractmethod
    async def _perform(self, context: Context) -> tuple[Condition, ...]: ...

    async def perform(self, context: Context) -> tuple[Condition, ...]:
        """Run it. Returns conditions that it found to hold already.

        Raises :class:`SystemFailure` or a guard's error.
        """
        await self._resolver.refuse_moved(self.nodes)
        async with AsyncExitStack() as stack:
            if context.hold_locks:
                lock = self._machine.devices.disk_lock
                for drive in self.nodes.drives.values():
                    await stack.enter_async_context(lock(drive.node, _LOCK_S))
                await self._resolver.refuse_moved(self.nodes)  # locks may have been waited for
            touched = self._touches()
            self._observer.note_action(touched)
            try:
                return await self._perform(context)
            except OSError as error:  # a drive that fails, of which an undo must not break off
                raise SystemFailure("A system call failed", details=str(error)) from error
            finally:
                self._observer.note_action(touched)

    def _touches(self) -> Touched:
        drives = self._observer.names_of(self.nodes.drives)
        stack = {PurePath(node.path).name for node in self.nodes.pool.values()}
        return self._resolver.touched_by(self._plan) | Touched.of(devices=drives | stack)

    async def _run(
        self, argv: tuple[str, ...], context: Context, ok_codes: tuple[int, ...] = (0,)
    ) -> None:
        context.write(f"$ {self.command()}")

        def started(pid: int, start_time: float) -> None:
            if context.entry is not None:
                # No child outlives a power cut either.
                context.entry.write(Child(pid=pid, start_time=start_time), durable=False)

        await self._machine.programs.run(
            argv,
            ok_codes=ok_codes,
            on_line=context.write,
            on_start=started,
            cancel=context.on_cancel,
        )

    def _touched(self) -> None:
        """Have written devices probed again."""
        written = {*self._plan.drives, *self.nodes.drives}
        self._observer.forget_signatures(self._observer.names_of(written))
