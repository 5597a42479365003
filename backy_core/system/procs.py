"""Find the processes that hold a mount, and end them.

A process holds a mount by its working directory, root, program, open files, mapped files, or by
having the mount in a mount namespace of its own. Reading needs root and starts no process.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from backy_core.system.identity import is_alive, pidfd, process_start_time, wait_for_exit
from backy_core.system.namespaces import pids
from backy_core.system.process_holders import HeldBy, Hold
from backy_core.system.sysfs import read_attribute
from backy_core.system.text import sanitise

__all__ = ["ProcessInfo", "holding", "is_alive", "kill"]

_KILL_WAIT_S = 2.0
"""A process in uninterruptible sleep outlives SIGKILL until its disk answers."""


class ProcessInfo(NamedTuple):
    """A process and one file by which it holds the mount. ``start_time`` is in clock ticks."""

    pid: int
    command: str
    user: str
    path: str
    name: str
    start_time: int


def holding(search: HeldBy) -> Iterator[tuple[ProcessInfo, Hold]]:
    """The processes that hold what is searched for, each once; this process left out."""
    for pid in pids():
        holder = _describe(pid, search) if pid != os.getpid() else None
        if holder is not None:
            yield holder


def _describe(pid: int, search: HeldBy) -> tuple[ProcessInfo, Hold] | None:
    start_time = process_start_time(pid)
    hold = search.held_by(pid)
    if hold is None or start_time is None or process_start_time(pid) != start_time:
        return None
    directory = Path(f"/proc/{pid}")
    name = (read_attribute(directory / "comm") or "").strip()
    words = (read_attribute(directory / "cmdline") or "").split("\0")
    command = sanitise(" ".join(word for word in words if word)) or name
    user = _user(directory)
    return ProcessInfo(pid, command, user, sanitise(hold.path), name, start_time), hold


def _user(directory: Path) -> str:
    try:
        uid = directory.stat().st_uid
        return pwd.getpwuid(uid).pw_name
    except OSError:
        return "?"
    except KeyError:
        return str(uid)


async def kill(processes: Sequence[ProcessInfo], grace_s: float = 5) -> tuple[ProcessInfo, ...]:
    """SIGTERM, and after ``grace_s`` SIGKILL; the processes that are still there afterwards.

    By pidfd and start time, so that a later process with the same number is left alone. Gone
    already is done. PID 1 and this process are left alone and counted as still there.
    """
    left = await _signal_and_wait(processes, signal.SIGTERM, grace_s)
    return await _signal_and_wait(left, signal.SIGKILL, _KILL_WAIT_S) if left else ()


async def _signal_and_wait(
    processes: Sequence[ProcessInfo], number: signal.Signals, within_s: float
) -> tuple[ProcessInfo, ...]:
    for process in processes:
        _signal(process, number)
    ended = await asyncio.gather(
        *(wait_for_exit(process.pid, process.start_time, within_s) for process in processes)
    )
    return tuple(process for process, gone in zip(processes, ended, strict=True) if not gone)


def _signal(process: ProcessInfo, number: signal.Signals) -> None:
    if process.pid in (1, os.getpid()):
        return
    with suppress(ProcessLookupError), pidfd(process.pid) as descriptor:
        if process_start_time(process.pid) == process.start_time:
            signal.pidfd_send_signal(descriptor, number)
