"""Injected failures: a crash at the n-th point, or a fault of one command.

A *point* is just before or just after something durable happens. Once the agent crashed,
nothing it still tries has any effect, as after ``kill -9``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import pytest


class Crash(BaseException):
    """The agent is dead; no ``except Exception`` survives it."""


class How(Enum):
    """How a command goes wrong."""

    STATUS = "it fails and did nothing"
    HALF = "it fails and did half of its work"
    VANISHED = "its program is not there any more"
    SILENT = "it succeeds and did nothing"
    BROKEN = "an error nobody expects"
    DONE = "it fails and did all of its work"
    HUNG = "it takes ten minutes, and then works"
    TORN = "it succeeds, and half of its output is lost"
    GARBAGE = "it succeeds, and what it prints is nonsense"


PROGRAM_FAULTS = (How.STATUS, How.HALF, How.VANISHED, How.SILENT, How.BROKEN)
LIES = (*PROGRAM_FAULTS, How.DONE, How.HUNG)
"""All that a program may do instead of its work."""
CALL_FAULTS = (How.STATUS, How.SILENT, How.BROKEN)
"""Of what the core does without a program."""


def each_fault(programs: Sequence[str], calls: Sequence[str] = ()) -> pytest.MarkDecorator:
    """A test's parameters ``words`` and ``how``: every fault of each of these commands."""
    cases = [
        *((words, how) for words in programs for how in PROGRAM_FAULTS),
        *((words, how) for words in calls for how in CALL_FAULTS),
    ]
    names = [
        f"{words.strip().replace(' ', '_').replace('/', '')}-{how.name}" for words, how in cases
    ]
    return pytest.mark.parametrize(("words", "how"), cases, ids=names)


@dataclass
class Fault:
    """A fault of the next ``times`` matching commands."""

    matches: Callable[[str], bool]
    how: How
    times: int = 1_000_000


class Interruptions:
    def __init__(self) -> None:
        self.reached: list[str] = []
        self.crash_at: int | None = None
        self.dead = False
        self.faults: list[Fault] = []
        self.hooks: list[tuple[str, Callable[[], None]]] = []
        self._lock = threading.Lock()

    def point(self, name: str) -> None:
        """Raise :class:`Crash` here if it is the one, or if the agent is dead already."""
        with self._lock:
            if self.dead:
                raise Crash(name)
            number = len(self.reached)
            self.reached.append(name)
            for prefix, act in self.hooks:
                if name.startswith(prefix):
                    act()
            if number == self.crash_at:
                self.dead = True
                raise Crash(name)

    def alive(self) -> None:
        if self.dead:
            raise Crash("dead")

    def fault(self, command: str) -> How | None:
        for fault in self.faults:
            if fault.times > 0 and fault.matches(command):
                fault.times -= 1
                return fault.how
        return None

    def fail(self, words: str, how: How = How.STATUS, times: int = 1_000_000) -> Fault:
        """From now on commands that contain ``words`` fail."""
        fault = Fault(lambda command: words in command, how, times)
        self.faults.append(fault)
        return fault

    def when(self, prefix: str, act: Callable[[], None]) -> None:
        """Do something to the machine at every point whose name starts with ``prefix``."""
        self.hooks.append((prefix, act))

    def reset(self) -> None:
        self.reached, self.crash_at, self.dead = [], None, False
        self.faults, self.hooks = [], []
