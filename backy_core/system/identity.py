"""Telling one process from a later one with the same number."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backy_core.system.absence import suppress_gone


def process_start_time(pid: int) -> int | None:
    """Start time in clock ticks after boot (``/proc/PID/stat``, field 22); None if it is gone."""
    fields = _stat_fields(pid)
    return int(fields[19]) if fields else None


def is_alive(pid: int) -> bool:
    """Whether a process with this number can still act; a zombie cannot."""
    fields = _stat_fields(pid)
    return bool(fields) and fields[0] not in "ZX"


async def wait_for_exit(pid: int, start_time: float, timeout_s: float) -> bool:
    """Wait for a process that is not ours; True once it is gone, False after ``timeout_s``.

    A process with another start time is another process: the awaited one is gone. So is a
    zombie: it acts no more.
    """
    try:
        with pidfd(pid) as descriptor:
            return not _alive(pid, start_time) or await _readable(descriptor, timeout_s)
    except ProcessLookupError:
        return True


@contextmanager
def pidfd(pid: int) -> Iterator[int]:
    """A descriptor that stays with this very process. Raises ProcessLookupError."""
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


async def _readable(descriptor: int, timeout_s: float) -> bool:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await asyncio.wait_for(ended.wait(), timeout_s)
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(descriptor)
    return True


def _alive(pid: int, start_time: float) -> bool:
    fields = _stat_fields(pid)
    return bool(fields) and fields[0] not in "ZX" and int(fields[19]) == int(start_time)


def _stat_fields(pid: int) -> list[str]:
    """The fields from the third on: the second, in parentheses, may hold anything."""
    path = Path(f"/proc/{pid}/stat")
    with suppress_gone(path), path.open(encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()
    return []
