"""The one place that runs programs.

An argument list, never a shell; a built environment, ``/dev/null`` as stdin, ``/`` as working
directory, a fixed umask, a session of its own, no inherited descriptors. A child is always waited
for, whoever is cancelled meanwhile: to leave mdadm or LVM half-way is worse than to wait
(``cancel="wait"``), and only what may be ended half-way is sent SIGTERM (``cancel="term"``).
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Sequence
from typing import Literal

from backy_core.system.child import SEARCH_PATH, Child, Instructions
from backy_core.system.identity import process_start_time, wait_for_exit
from backy_core.system.outcome import CommandFailed, Outcome
from backy_core.system.text import sanitise
from backy_core.system.threads import wait_out

__all__ = [
    "CommandFailed",
    "Outcome",
    "all_ended",
    "installed",
    "process_start_time",
    "run",
    "sanitise",
    "wait_for_exit",
]

_log = logging.getLogger(__name__)
_followed: set[asyncio.Task[Outcome]] = set()


async def run(
    argv: Sequence[str],
    *,
    ok_codes: Sequence[int] = (0,),
    check: bool = True,
    timeout_s: float | None = None,
    on_line: Callable[[str], None] | None = None,
    on_start: Callable[[int, float], None] | None = None,
    cancel: Literal["wait", "term"] = "wait",
    output_limit: int = 1 << 20,
    grace_s: float = 10,
) -> Outcome:
    """Run ``argv`` to its end.

    ``timeout_s`` is for commands that only read: SIGTERM, ``grace_s``, then SIGKILL, to the
    whole group. ``on_line`` gets both outputs live, sanitised; ``on_start`` gets pid and start
    time (clock ticks after boot) right after the start; if it raises, the child is waited for
    and the error raised. ``output_limit`` bounds each output in bytes.

    Raises :class:`CommandFailed` if the program is not installed and, with ``check``, if it
    timed out or its status is not in ``ok_codes``. A cancellation is raised only once the child
    has ended.
    """
    command = tuple(argv)
    instructions = Instructions(on_line, on_start, timeout_s, output_limit, grace_s)
    child = Child(command, instructions)
    following = asyncio.create_task(child.follow())
    _followed.add(following)
    following.add_done_callback(_followed.discard)
    cancelled = await wait_out(following, child.end if cancel == "term" else None)
    if cancelled or following.cancelled():
        following.cancelled() or following.exception()
        raise asyncio.CancelledError
    outcome = following.result()
    return _checked(outcome, ok_codes) if check else outcome


async def all_ended() -> None:
    """Return once no program that this loop started is running.

    For the end of the agent: asyncio then cancels every task at once, and where that meets a
    program in the midst of its start, before both pipes are connected, its wait for the program's
    end never returns.
    """
    loop = asyncio.get_running_loop()
    while mine := {task for task in _followed if task.get_loop() is loop}:
        await asyncio.wait(mine)


def installed(program: str) -> bool:
    """Whether :func:`run` would find it now."""
    return shutil.which(program, path=SEARCH_PATH) is not None


def _checked(outcome: Outcome, ok_codes: Sequence[int]) -> Outcome:
    if not outcome.timed_out and outcome.code in ok_codes:
        _log.debug("%r", outcome)
        return outcome
    _log.warning("%r: %s", outcome, outcome.last_words)
    raise CommandFailed(outcome.sentence.rsplit(" after ", 1)[0], outcome)
