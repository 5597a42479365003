"""The agent's own files must be root's alone: whoever writes to them decides what it does as root.

Of what leads there, a sticky directory of root's (/tmp) will do: nobody can replace what is root's
in it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backy_core.sdk.errors import SystemFailure
from backy_core.system import directories
from backy_core.system.directories import DirectoryMissing


class NotRoots(SystemFailure):
    """A file of the agent's can be changed by others, or is not a regular file."""


def check_directory(path: Path) -> None:
    """Raise :class:`SystemFailure` if a directory is there and not root's alone."""
    try:
        with _directory(path):
            pass
    except DirectoryMissing:
        return


def check_file(path: Path) -> None:
    """Raise :class:`SystemFailure` for anything but an absent file or one only root can change."""
    try:
        with opened_file(path):
            pass
    except (DirectoryMissing, FileNotFoundError):
        return


def read_file(path: Path) -> bytes:
    """Read a file that only root can change. Raises like :func:`opened_file`."""
    with opened_file(path) as descriptor, os.fdopen(descriptor, "rb", closefd=False) as file:
        return file.read()


@contextmanager
def opened_file(path: Path) -> Iterator[int]:
    """A descriptor of a file that only root can change or replace, for reading.

    Raises :class:`SystemFailure` if it is another's or no file, FileNotFoundError or
    :class:`DirectoryMissing` if it is not there.
    """
    with _directory(path.parent) as above:
        try:
            descriptor = open_regular(path.name, os.O_RDONLY, dir_fd=above)
        except FileNotFoundError:
            raise
        except OSError as error:
            problem = "is a symbolic link" if error.errno == errno.ELOOP else error.strerror
            raise NotRoots(f"{path} {problem}", hint="Put a plain file there") from error
    try:
        reason = directories.others_may_change(os.fstat(descriptor), descriptor)
        if reason is not None:
            hint = f"Give it to root alone: chown root:root {path}; chmod go-w {path}"
            raise NotRoots(f"{path} {reason}", hint=hint)
        yield descriptor
    finally:
        os.close(descriptor)


def open_regular(name: str, flags: int, mode: int = 0o600, *, dir_fd: int | None = None) -> int:
    """Open a file; never a link, and never wait for a FIFO or a device.

    Raises :class:`OSError`: ELOOP for a link, EINVAL for anything else that is not a file.
    """
    # O_NONBLOCK changes nothing for files.
    safe = flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    descriptor = os.open(name, safe, mode, dir_fd=dir_fd)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "is not a regular file", name)


@contextmanager
def _directory(path: Path) -> Iterator[int]:
    """Links on the way are root's own business: what they lead to is looked at."""
    with directories.opened(path.resolve(), directories.others_may_replace) as descriptor:
        reason = directories.others_may_change(os.fstat(descriptor), descriptor)
        if reason is not None:
            raise directories.refused(path, reason)
        yield descriptor
