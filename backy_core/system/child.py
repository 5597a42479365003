"""One child process, from its start until it is reaped and its outputs are read.

The task that runs :meth:`Child.follow` is never cancelled by :func:`backy_core.system.exec.run`;
:meth:`Child.end` is how it is told to stop early.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import NamedTuple

from backy_core.system.identity import process_start_time
from backy_core.system.outcome import CommandFailed, Outcome
from backy_core.system.text import BoundedBytes, LineSplitter

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"PATH": SEARCH_PATH, "LC_ALL": "C.UTF-8", "HOME": "/", "TERM": "dumb"}
UMASK = 0o022

_DRAIN_S = 1.0
_POLL_S = 1.0


class Instructions(NamedTuple):
    """How to follow a child; see :func:`backy_core.system.exec.run`."""

    on_line: Callable[[str], None] | None
    on_start: Callable[[int, float], None] | None
    timeout_s: float | None
    output_limit: int
    grace_s: float


class Child:
    def __init__(self, argv: tuple[str, ...], instructions: Instructions) -> None:
        self._argv = argv
        self._do = instructions
        self._ending = asyncio.Event()
        self._timed_out = False

    def end(self) -> None:
        """Ask :meth:`follow` to end the child: SIGTERM, grace time, SIGKILL."""
        self._ending.set()

    async def follow(self) -> Outcome:
        """Start, read, wait, reap."""
        started = time.monotonic()
        process = await self._start()
        outputs = BoundedBytes(self._do.output_limit), BoundedBytes(self._do.output_limit)
        streams = process.stdout, process.stderr
        pumps = {
            asyncio.create_task(self._pump(stream, output))
            for stream, output in zip(streams, outputs, strict=True)
            if stream is not None
        }
        problem = self._announce(process.pid)
        await self._until_exit(process)
        if not await _drained(pumps):
            _close_pipes(process)
        if problem is not None:
            raise problem
        return Outcome(
            argv=self._argv,
            code=None if self._timed_out else process.returncode,
            stdout=outputs[0].text(),
            stderr=outputs[1].text(),
            seconds=time.monotonic() - started,
            timed_out=self._timed_out,
        )

    async def _start(self) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                *self._argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=ENVIRONMENT,
                cwd="/",
                umask=UMASK,
                start_new_session=True,
                # SIGPIPE stays ignored: a program outlives an agent that is killed, and must not
                # die of its next message. mdadm would leave the array frozen, which then never
                # rebuilds.
                restore_signals=False,
            )
        except (OSError, ValueError) as error:
            raise _not_started(self._argv, error) from error

    def _announce(self, pid: int) -> Exception | None:
        """The error is kept until the child has ended: nothing is left running unnoticed."""
        if self._do.on_start is None:
            return None
        try:
            self._do.on_start(pid, process_start_time(pid) or 0)
        except Exception as error:
            return error
        return None

    async def _pump(self, stream: asyncio.StreamReader, output: BoundedBytes) -> None:
        lines = LineSplitter(self._do.on_line) if self._do.on_line else None
        try:
            while chunk := await stream.read(65536):
                output.write(chunk)
                if lines is not None:
                    lines.feed(chunk)
        finally:
            if lines is not None:
                lines.close()

    async def _until_exit(self, process: asyncio.subprocess.Process) -> None:
        waiter = asyncio.create_task(process.wait())
        ender = asyncio.create_task(self._ending.wait())
        try:
            if not await _exited(process, waiter, self._do.timeout_s, ender):
                self._timed_out = not self._ending.is_set()
                await self._terminate(process, waiter)
        finally:
            ender.cancel()
            waiter.cancel()

    async def _terminate(
        self, process: asyncio.subprocess.Process, waiter: asyncio.Task[int]
    ) -> None:
        deadline = time.monotonic() + self._do.grace_s
        _signal_group(process.pid, signal.SIGTERM)
        if not await _exited(process, waiter, self._do.grace_s):
            _signal_group(process.pid, signal.SIGKILL)
            await _exited(process, waiter, None)
        if not await _group_gone(process.pid, deadline):
            _signal_group(process.pid, signal.SIGKILL)


async def _exited(
    process: asyncio.subprocess.Process,
    waiter: asyncio.Task[int],
    within_s: float | None,
    interrupt: asyncio.Task[bool] | None = None,
) -> bool:
    """True once it is reaped; False after ``within_s`` seconds or once ``interrupt`` is done.

    ``Process.wait`` of some Python versions also waits for the pipes, which a daemon the child
    started may hold open for ever, so the return code is looked at as well.
    """
    deadline = None if within_s is None else time.monotonic() + within_s
    watched = {waiter} if interrupt is None else {waiter, interrupt}
    while process.returncode is None and not waiter.done():
        left = _POLL_S if deadline is None else min(_POLL_S, deadline - time.monotonic())
        if left <= 0 or (interrupt is not None and interrupt.done()):
            return False
        await asyncio.wait(watched, timeout=left, return_when=asyncio.FIRST_COMPLETED)
    return True


async def _drained(pumps: set[asyncio.Task[None]]) -> bool:
    """Read the rest; False if a daemon the child started still holds a pipe after a moment."""
    if not pumps:
        return True
    done, waiting = await asyncio.wait(pumps, timeout=_DRAIN_S)
    for pump in waiting:
        pump.cancel()
    await asyncio.gather(*pumps, return_exceptions=True)
    for pump in done:
        pump.result()
    return not waiting


def _close_pipes(process: asyncio.subprocess.Process) -> None:
    """Close pipes that asyncio closes only at their end, which may never come. asyncio has no
    public function for it."""
    transport = getattr(process, "_transport", None)
    if transport is not None:
        transport.close()


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


async def _group_gone(pid: int, deadline: float) -> bool:
    """Poll for the end of a group whose leader is gone, which no event announces.

    Once it is gone its number may be another group's, which must not be signalled.
    """
    try:
        while time.monotonic() < deadline:
            os.killpg(pid, 0)
            await asyncio.sleep(0.05)
    except (ProcessLookupError, PermissionError):
        return True
    return False


def _not_started(argv: tuple[str, ...], error: Exception) -> CommandFailed:
    outcome = Outcome(argv, None, "", str(error), 0.0)
    if isinstance(error, FileNotFoundError):
        return CommandFailed(f"{argv[0]} is not installed", outcome, final=True)
    # Not for ever where memory or processes are short.
    final = isinstance(error, PermissionError | ValueError)
    return CommandFailed(f"{argv[0]} could not be started", outcome, final=final)
