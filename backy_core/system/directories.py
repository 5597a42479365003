"""Directories that only root can change, walked without following links.

The owner of a directory, and anyone who may write to it, decides what is below it: between a check
and a mount it can become a link to anywhere. So a path is walked descriptor by descriptor, and all
work is done on the descriptor.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, NamedTuple

from backy_core.sdk.errors import SystemFailure
from backy_core.system.inode_flags import is_immutable, set_immutable

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LEFT_ALONE = frozenset(
    {errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY, errno.ENOTDIR, errno.ELOOP}
)
_ACL = "system.posix_acl_access"
_ROOT = 0
"""The agent is root's, or it does not start."""

Judge = Callable[[os.stat_result, int], str | None]

Seal = Literal["immutable", "mode", "none"]
"""Why nothing can be written into a directory: its immutable flag stops everyone, its mode
everyone but root."""


class Place(NamedTuple):
    """A directory that no filesystem is mounted on."""

    seal: Seal
    empty: bool


class DirectoryRefused(SystemFailure):
    """``path`` is the part of a path that cannot be trusted or is not a directory."""

    def __init__(self, path: Path, reason: str, hint: str | None = None) -> None:
        super().__init__(f"{path} {reason}", hint=hint)


class DirectoryMissing(SystemFailure):
    def __init__(self, path: Path) -> None:
        super().__init__(f"Directory {path} does not exist")
        self.path = path


def others_may_change(info: os.stat_result, descriptor: int) -> str | None:
    """The party other than root that may change an open file or directory; None if there is none.

    The sticky bit does not help: everyone may still make a name there before root does.
    """
    if info.st_uid not in (_ROOT, os.geteuid()):
        return f"belongs to user {info.st_uid}, not to root"
    if info.st_mode & stat.S_IWOTH:
        return "is writable by everyone"
    if info.st_mode & stat.S_IWGRP and (info.st_gid != _ROOT or _has_acl(descriptor)):
        return f"is writable by group {info.st_gid} or by users that its ACL names"
    return None


def _has_acl(descriptor: int) -> bool:
    """With one, the group's bits are the most that anybody named in it may do."""
    try:
        return bool(os.getxattr(descriptor, _ACL))
    except OSError as error:
        return error.errno not in (errno.ENODATA, errno.EOPNOTSUPP)


def others_may_replace(info: os.stat_result, descriptor: int) -> str | None:
    """As :func:`others_may_change`, of a directory, for what is there and root's already."""
    if info.st_uid in (_ROOT, os.geteuid()) and info.st_mode & stat.S_ISVTX:
        return None
    return others_may_change(info, descriptor)


@contextmanager
def opened(path: Path | str, judge: Judge | None = None) -> Iterator[int]:
    """A descriptor of a directory that only root can change or redirect.

    ``judge`` looks at each part of the path; :func:`others_may_change` if not given. Raises
    :class:`DirectoryRefused`, :class:`DirectoryMissing`, or :class:`SystemFailure`.
    """
    descriptor = _descend(Path(path), _refuse_missing, judge or others_may_change)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def check(path: Path | str, judge: Judge | None = None) -> None:
    """Raise as :func:`opened` if it is not there, or not root's alone."""
    with opened(path, judge):
        pass


def missing_directories(path: Path | str, judge: Judge | None = None) -> tuple[str, ...]:
    """Missing directories of a path, deepest first. Raises like :func:`opened`."""
    target = Path(path)
    try:
        with opened(target, judge):
            return ()
    except DirectoryMissing as missing:
        below = (target, *target.parents)
        return tuple(str(directory) for directory in below[: below.index(missing.path) + 1])


def is_empty(path: Path | str, judge: Judge | None = None) -> bool:
    """Whether an existing directory holds nothing. Raises as :func:`opened`."""
    with opened(path, judge) as descriptor:
        return not os.listdir(descriptor)  # noqa: PTH208 Path knows no descriptors


def make_directories(
    path: Path | str, mode: int = 0o755, judge: Judge | None = None
) -> tuple[str, ...]:
    """Make ``path`` and what is missing above it; the ones made, outermost first.

    Raises as :func:`opened`; what was made until then is removed.
    """
    new_directories: list[str] = []

    def make(walked: Path, above: int) -> None:
        os.mkdir(walked.name, mode, dir_fd=above)
        new_directories.append(str(walked))
        # Whatever the umask is.
        os.chmod(walked.name, mode, dir_fd=above)

    try:
        os.close(_descend(Path(path), make, judge or others_may_change))
    except SystemFailure:
        remove_directories(new_directories)
        raise
    return tuple(new_directories)


def seal(path: Path | str, judge: Judge | None = None) -> Place | None:
    """Make an empty directory unwritable, by its mode where the filesystem has no immutable flag.

    Returns what it is afterwards; None if something is mounted there. Raises as :func:`opened`.
    """
    with opened(Path(path).parent, judge) as above, _below(path, above, judge) as descriptor:
        if _begins_mount(descriptor, above):
            return None
        if not os.listdir(descriptor):  # noqa: PTH208 Path knows no descriptors
            _seal(descriptor)
        return _place(descriptor)


def place(path: Path | str, judge: Judge | None = None) -> Place | None:
    """The directory at ``path``; None if something is mounted there. Raises as :func:`opened`."""
    with opened(Path(path).parent, judge) as above, _below(path, above, judge) as descriptor:
        return None if _begins_mount(descriptor, above) else _place(descriptor)


@contextmanager
def _below(path: Path | str, above: int, judge: Judge | None) -> Iterator[int]:
    try:
        descriptor = _step(Path(path), above)
    except FileNotFoundError as error:
        raise DirectoryMissing(Path(path)) from error
    try:
        _refuse(Path(path), descriptor, judge or others_may_change)
        yield descriptor
    except OSError as error:
        raise SystemFailure(f"Directory {path} cannot be used", details=str(error)) from error
    finally:
        os.close(descriptor)


def _seal(descriptor: int) -> None:
    try:
        set_immutable(descriptor, on=True)
    except OSError:  # no such flag, or no right to set it
        os.fchmod(descriptor, 0)
    os.fsync(descriptor)  # a power cut does not break it


def _place(descriptor: int) -> Place:
    kind: Seal = "none" if stat.S_IMODE(os.fstat(descriptor).st_mode) else "mode"
    with suppress(OSError):
        kind = "immutable" if is_immutable(descriptor) else kind
    return Place(kind, not os.listdir(descriptor))


def _begins_mount(descriptor: int, above: int) -> bool:
    """Whether a mount begins here, a bind mount of the same filesystem included."""
    return _mount_of(descriptor) != _mount_of(above)


def _mount_of(descriptor: int) -> str:
    lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines()
    return next(line for line in lines if line.startswith("mnt_id:"))


def remove_directories(paths: Iterable[Path | str]) -> None:
    """Remove the directories that are empty, innermost first, by rmdir alone, sealed ones too.

    Absent, not empty, busy, reached through a link: left as it is. Raises :class:`SystemFailure`
    for anything else.
    """
    for path in sorted(map(Path, paths), key=lambda path: len(path.parts), reverse=True):
        try:
            above = _open(path.parent, _refuse_missing, _anyone)
            try:
                _unseal(path.name, above)
                os.rmdir(path.name, dir_fd=above)
            finally:
                os.close(above)
        except (DirectoryMissing, DirectoryRefused):
            continue
        except OSError as error:
            if error.errno not in _LEFT_ALONE:
                message = f"Directory {path} could not be removed"
                raise SystemFailure(message, details=str(error)) from error


def _unseal(name: str, above: int) -> None:
    """Raises :class:`OSError`, EBUSY if something is mounted on it."""
    # A descriptor of a path alone asks no filesystem, which may hang.
    reached = os.open(name, _FLAGS | os.O_PATH, dir_fd=above)
    try:
        if _begins_mount(reached, above):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
    finally:
        os.close(reached)
    descriptor = os.open(name, _FLAGS, dir_fd=above)
    try:
        if not os.listdir(descriptor):  # noqa: PTH208
            with suppress(OSError):  # no such flag
                set_immutable(descriptor, on=False)
    finally:
        os.close(descriptor)


def _descend(target: Path, absent: Callable[[Path, int], None], judge: Judge) -> int:
    try:
        return _open(target, absent, judge)
    except OSError as error:
        raise SystemFailure(f"Directory {target} cannot be used", details=str(error)) from error


def _open(target: Path, absent: Callable[[Path, int], None], judge: Judge) -> int:
    """A descriptor of ``target``; ``absent`` makes or refuses what is not there."""
    if not target.is_absolute() or ".." in target.parts:
        raise SystemFailure(f"{target} is not an absolute path without '..'")
    walked, descriptor = Path("/"), os.open("/", _FLAGS)
    try:
        _refuse(walked, descriptor, judge)
        for part in target.parts[1:]:
            walked /= part
            try:
                below = _step(walked, descriptor)
            except FileNotFoundError:
                absent(walked, descriptor)
                below = _step(walked, descriptor)
            os.close(descriptor)
            descriptor = below
            _refuse(walked, descriptor, judge)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _step(walked: Path, above: int) -> int:
    try:
        return os.open(walked.name, _FLAGS, dir_fd=above)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        info = os.lstat(walked.name, dir_fd=above)
        problem = "is a symbolic link" if stat.S_ISLNK(info.st_mode) else "is no directory"
        raise DirectoryRefused(walked, problem, "Use a path without it") from error


def _refuse(walked: Path, descriptor: int, judge: Judge) -> None:
    if (reason := judge(os.fstat(descriptor), descriptor)) is not None:
        raise refused(walked, reason)


def refused(path: Path, reason: str) -> DirectoryRefused:
    """The error that names a directory, why it cannot be trusted, and what to do."""
    return DirectoryRefused(
        path,
        reason,
        f"Give it to root alone (chown root:root {path}; chmod go-w {path}), or use a path that "
        "it is not part of",
    )


def _refuse_missing(walked: Path, above: int) -> None:
    raise DirectoryMissing(walked)


def _anyone(info: os.stat_result, descriptor: int) -> None:
    return None
