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

from backy_core.operations.journal import Begun, JournalEntry, Record, read_record
from backy_core.sdk.plan import Exec, PlanKind, Step
from backy_core.system.own_files import OwnDirectory, OwnFile

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


class Tap:
    """The own files of an agent that is tested; ``listeners`` may be added at any time."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self.commands: list[str] = []
        """Of every step that began, as the journal words them."""

    def directory(self, path: Path) -> OwnDirectory:
        return _Directory(self, path)

    def tell(self, entry: JournalEntry, record: Record, when: When) -> None:
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


class _Directory(OwnDirectory):
    def __init__(self, tap: Tap, path: Path, above: OwnDirectory | None = None) -> None:
        super().__init__(path, above)
        self.tap = tap

    def directory(self, name: str) -> OwnDirectory:
        return _Directory(self.tap, self.path / name, self)

    def file(self, name: str) -> OwnFile:
        return _File(self, name)


class _File(OwnFile):
    """Only journals are appended to."""

    def __init__(self, directory: _Directory, name: str) -> None:
        super().__init__(directory, name)
        self._tap = directory.tap
        self._entry: JournalEntry | None = None

    def append(self, data: bytes, *, durable: bool) -> None:
        if self._entry is None:
            written = (self.read() or b"").splitlines()
            self._entry = JournalEntry(self, [read_record(line) for line in written])
        entry, record = self._entry, read_record(data)
        self._tap.tell(entry, record, "before")
        super().append(data, durable=durable)
        entry.records.append(record)
        self._tap.tell(entry, record, "after")
