"""Running an agent in a process of its own, which may be killed like a real one.

The process is a fork of the test's: nothing of the agent happens at import, so such an agent is
as new as one just started. SIGKILL leaves its programs running and its files half written.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import pickle
import select
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

_STDERR = 2
_TELLS_S = 1.0
_LIMIT_S = 900.0
"""For a process that hangs; a loaded machine may take minutes for what takes seconds."""


class Killed(Exception):
    """The process was killed by SIGKILL, as was asked for."""


class FailedInside(AssertionError):
    """A failure in the other process, with its traceback."""


@dataclass(frozen=True)
class _Answer:
    value: Any = None
    failure: str | None = None


def in_a_process(work: Callable[[], T], limit_s: float = _LIMIT_S) -> T:
    """The result of ``work`` in a child process; raises :class:`Killed` or FailedInside."""
    reading, writing = os.pipe()
    # Else the child's first collection writes to every object there is, and so copies every page.
    gc.freeze()
    pid = _fork()
    if pid == 0:
        os.close(reading)
        faulthandler.register(signal.SIGUSR1, file=_STDERR, all_threads=True)
        _answer(work, writing)
    os.close(writing)
    try:
        text = _read_all(reading, pid, limit_s)
    finally:
        os.close(reading)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if not text:
        if status == -signal.SIGKILL:
            raise Killed
        raise FailedInside(f"the agent's process ended with status {status} and said nothing")
    answer: _Answer = pickle.loads(text)  # noqa: S301  (our own child wrote it)
    if answer.failure is not None:
        raise FailedInside(answer.failure)
    value: T = answer.value
    return value


def _fork() -> int:
    with warnings.catch_warnings():
        # From Python 3.12 on: the process has threads. Those of the test runner hold no lock
        # that an agent takes.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _answer(work: Callable[[], Any], writing: int) -> None:
    try:
        text = pickle.dumps(_Answer(work()))
    except BaseException:
        text = pickle.dumps(_Answer(failure=traceback.format_exc()))
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(text)
    os._exit(0)  # nothing of the test's process is torn down by its copy


def _read_all(reading: int, pid: int, limit_s: float) -> bytes:
    deadline = time.monotonic() + limit_s
    parts: list[bytes] = []
    while True:
        ready, _, _ = select.select([reading], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise FailedInside(_given_up(pid, limit_s))
        part = os.read(reading, 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)


def _given_up(pid: int, limit_s: float) -> str:
    """End the process; what it was at is on its standard error, the rest in what is returned."""
    os.kill(pid, signal.SIGUSR1)
    time.sleep(_TELLS_S)
    listing = "; ".join(_processes(pid)) or "none"
    os.kill(pid, signal.SIGKILL)
    return (
        f"the agent's process did not end within {limit_s:g} s; children and stuck ones: {listing}"
    )


def _processes(parent: int) -> Iterator[str]:
    """Children of ``parent``, and whatever is in uninterruptible sleep, with where it waits."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            name, _, rest = (entry / "stat").read_text().rpartition(")")
            state, above = rest.split()[:2]
            if state == "D" or int(above) == parent:
                words = (entry / "cmdline").read_text().replace("\0", " ").strip()
                yield f"{words or name} ({state}, {(entry / 'wchan').read_text()})"
