"""Seeing each journal record right before and right after it is durable.

These are the moments at which a crash makes a difference: what is on disk then is all that the
next start knows.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from backy_core.operations.journal import Begun, JournalEntry, Record
from backy_core.operations.outputs import OutputLog
from backy_core.sdk.plan import Exec, PlanKind, Step

When = Literal["before", "after"]
Listener = Callable[[JournalEntry, Record, When], None]

_MOMENTS = (("child", "after"), ("done", "before"), ("commit", "after"))
"""A program of the backend was just started; a step did its work and nobody wrote that down; the
whole is promised and not recorded elsewhere."""
_FORWARD: tuple[PlanKind, ...] = ("close", "teardown")
"""Settled by being finished: whether the program had ended already makes no difference."""
QUICK = "BACKY_CONTRACT_QUICK"
"""Environment: 1 leaves out moments at which a backend has no say."""


def quick() -> bool:
    return os.environ.get(QUICK) == "1"


def _is_moment(entry: JournalEntry, record: Record, when: When) -> bool:
    if (record.rec, when) not in _MOMENTS:
        return False
    if record.rec == "commit":
        return True
    # The core's own steps are never an Exec; they are all there is to a close that plans none.
    planned = any(isinstance(step.run, Exec) for step in entry.opened.plan.steps)
    own = isinstance(entry.begun()[-1][1].run, Exec) or not planned
    if record.rec == "child":
        return own and entry.opened.plan.kind not in _FORWARD
    return own or not quick()


def keep_outputs(path: Path) -> None:
    """From now on, in this process, whatever operations print is in this file as well, also after
    the process was killed."""
    append, file = OutputLog.append, path.open("a", buffering=1, errors="backslashreplace")

    def kept(log: OutputLog, line: str) -> None:
        append(log, line)
        file.write(f"{line}\n")

    OutputLog.append = kept  # type: ignore[method-assign, assignment]


class Tap:
    """Installed once in an agent's process; ``listeners`` may be added at any time."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self.commands: list[str] = []
        """Of every step that began, as the journal words them."""
        write = JournalEntry.write

        def tapped(entry: JournalEntry, record: Record, *, durable: bool = True) -> None:
            self._tell(entry, record, "before")
            write(entry, record, durable=durable)
            self._tell(entry, record, "after")

        JournalEntry.write = tapped  # type: ignore

    def _tell(self, entry: JournalEntry, record: Record, when: When) -> None:
        if isinstance(record, Begun) and when == "after":
            self.commands.append(record.command)
        for listener in tuple(self.listeners):
            listener(entry, record, when)

    def crash_at(self, kind: PlanKind, number: int) -> None:
        """Kill this process at the ``number``-th moment (from 0) of a plan of this kind."""
        seen = 0

        def listen(entry: JournalEntry, record: Record, when: When) -> None:
            nonlocal seen
            if not entry.records or entry.opened.plan.kind != kind:
                return
            if not _is_moment(entry, record, when):
                return
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)
            seen += 1

        self.listeners.append(listen)

    def on_step(self, kind: PlanKind, act: Callable[[Step, int], None]) -> None:
        """Call ``act`` with each step of such plans, and its number, when it is about to run."""

        def listen(entry: JournalEntry, record: Record, when: When) -> None:
            if isinstance(record, Begun) and when == "after" and entry.opened.plan.kind == kind:
                steps = entry.plans[record.round].steps
                number = next(n for n, step in enumerate(steps) if step.id == record.step)
                act(steps[number], number)

        self.listeners.append(listen)
