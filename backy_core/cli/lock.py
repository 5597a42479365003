"""One agent for each directory of state, and for each of the runtime."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backy_core.cli.exits import Exit
from backy_core.cli.refusal import StartRefused
from backy_core.system.ownership import open_regular


@contextmanager
def sole_agent(
    directory: Path, purpose: str = "state", lock: str = "agent.lock", mode: int = 0o700
) -> Iterator[None]:
    """Hold the directory; StartRefused names the process that already does.

    It is made with ``mode`` if it is missing; ``purpose`` is what the messages call it by.

    The kernel drops the lock with the process, so ``kill -9`` leaves nothing to clean up.
    """
    path = directory / lock
    try:
        _make(directory, mode)
        descriptor = open_regular(str(path), os.O_RDWR | os.O_CREAT)
    except OSError as error:
        message = f"The {purpose} directory {directory} cannot be used: {error.strerror}"
        raise StartRefused(message, Exit.PERMISSION) from error
    try:
        _take(descriptor, f"{purpose} directory {directory}")
        yield
    finally:
        os.close(descriptor)


def _make(directory: Path, mode: int) -> None:
    if not directory.is_dir():
        directory.mkdir(mode=mode, parents=True, exist_ok=True)
        directory.chmod(mode)  # whatever the umask


def _take(descriptor: int, named: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        message = f"Another agent (process {holder}) uses the {named}"
        raise StartRefused(message, Exit.BUSY) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
