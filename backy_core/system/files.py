"""Durable appends, and directories made and removed without following links."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from backy_core.sdk.errors import SystemFailure

_LEFT_ALONE = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY, errno.ENOTDIR})


def append_durably(descriptor: int, data: bytes) -> None:
    """Append all of ``data``; on disk when it returns."""
    write_all(descriptor, data)
    os.fsync(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """All of ``data``, however many writes it takes. Not on disk yet when it returns."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def make_directories(path: Path | str, mode: int = 0o755) -> tuple[str, ...]:
    """Make ``path`` and what is missing above it; the ones made, outermost first.

    Walks down descriptor by descriptor with O_NOFOLLOW, so that no symbolic link, not even one
    put there meanwhile, leads elsewhere. Raises :class:`SystemFailure`; what was made until
    then is removed.
    """
    made: list[str] = []
    target = Path(path)
    if not target.is_absolute() or ".." in target.parts:
        raise SystemFailure(f"{target} is not an absolute path without '..'")
    try:
        _walk(target, mode, made)
    except OSError as error:
        remove_directories(made)
        reason = "a part of it is a symbolic link or a file" if _no_directory(error) else str(error)
        raise SystemFailure(f"Directory {target} cannot be used", details=reason) from error
    return tuple(made)


def _walk(target: Path, mode: int, made: list[str]) -> None:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    here = Path("/")
    descriptor = os.open("/", flags)
    try:
        for part in target.parts[1:]:
            here /= part
            try:
                os.mkdir(part, mode, dir_fd=descriptor)
                made.append(str(here))
            except FileExistsError:
                pass
            below = os.open(part, flags, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
    finally:
        os.close(descriptor)


def _no_directory(error: OSError) -> bool:
    return isinstance(error, NotADirectoryError) or error.errno == errno.ELOOP


def remove_directories(paths: Iterable[Path | str]) -> None:
    """Remove the directories that are empty, innermost first, by rmdir alone.

    Absent, not empty, busy: left as it is. Raises :class:`SystemFailure` for anything else.
    """
    for path in sorted(map(Path, paths), key=lambda path: len(path.parts), reverse=True):
        try:
            path.rmdir()
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno not in _LEFT_ALONE:
                message = f"Directory {path} could not be removed"
                raise SystemFailure(message, details=str(error)) from error
