"""One agent for each state directory."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backy_core.cli.exits import Exit, StartRefused
from backy_core.system.ownership import open_regular


@contextmanager
def sole_agent(state_dir: Path) -> Iterator[None]:
    """Hold the state directory; StartRefused names the process that already does.

    The kernel drops the lock with the process, so ``kill -9`` leaves nothing to clean up.
    """
    path = state_dir / "agent.lock"
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = open_regular(str(path), os.O_RDWR | os.O_CREAT)
    except OSError as error:
        message = f"The state directory {state_dir} cannot be used: {error.strerror}"
        raise StartRefused(message, Exit.PERMISSION) from error
    try:
        _take(descriptor, state_dir)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, state_dir: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        message = f"Another agent (process {holder}) uses the state directory {state_dir}"
        raise StartRefused(message, Exit.BUSY) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
