"""Ending processes by identity. Finding them is proven on a real kernel."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from backy_core.system import mount_holders, procs
from backy_core.system.identity import process_start_time
from backy_core.system.procs import ProcessInfo


@contextmanager
def child(code: str = "") -> Iterator[tuple[subprocess.Popen[str], ProcessInfo]]:
    text = f"import time\n{code}\nprint('ready', flush=True)\ntime.sleep(60)"
    running = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    start_time = process_start_time(running.pid)
    assert start_time is not None
    try:
        yield running, ProcessInfo(running.pid, "python", "root", "/x", "python", start_time)
    finally:
        running.kill()
        running.wait()
        running.stdout.close()


async def test_terminated() -> None:
    with child() as (running, info):
        assert await procs.kill([info]) == ()
        assert running.wait() == -15


async def test_killed_after_the_grace_time() -> None:
    ignoring = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    with child(ignoring) as (running, info):
        assert await procs.kill([info], grace_s=0.3) == ()
        assert running.wait() == -9


async def test_a_later_process_with_the_same_number_is_left_alone() -> None:
    with child() as (running, info):
        assert await procs.kill([info._replace(start_time=info.start_time - 1)]) == ()
        await asyncio.sleep(0.1)
        assert running.poll() is None


async def test_gone_is_done_and_nothing_is_nothing() -> None:
    with child() as (running, info):
        running.kill()
        running.wait()
        assert not procs.is_alive(info.pid)
        assert await procs.kill([info]) == ()
    assert await procs.kill([]) == ()


async def test_this_process_is_never_signalled() -> None:
    own = ProcessInfo(os.getpid(), "", "", "", "", process_start_time(os.getpid()) or 0)
    assert await procs.kill([own], grace_s=0.05) == (own,)


async def test_nothing_mounted_has_no_holders() -> None:
    assert await mount_holders.processes_on("/nonexistent/mount") == ()
