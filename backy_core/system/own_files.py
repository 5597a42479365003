"""The agent's own files, reached through directories that are held open.

A path is looked up anew at each use, and what was mounted over it meanwhile would take the agent's
writes with it when it goes. A descriptor stays with its directory.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from backy_core.sdk.errors import SystemFailure
from backy_core.system.ownership import open_regular
from backy_core.system.threads import to_the_end

PREVIOUS_SUFFIX = ".previous"
_CHUNK = 1 << 20

T = TypeVar("T")


class OwnDirectory:
    """A directory by a descriptor that is opened at the first use and then kept."""

    def __init__(self, path: Path, above: OwnDirectory | None = None) -> None:
        """``path`` is for messages where the directory is reached through the one ``above``."""
        self.path = path
        self._above = above
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int:
        """Raises :class:`OSError` if it cannot be opened."""
        if self._descriptor is None:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
            if self._above is not None:  # above everything, a link is root's own
                flags |= os.O_NOFOLLOW
            descriptor = os.open(self._name, flags, dir_fd=self._place)
            weakref.finalize(self, os.close, descriptor)
            self._descriptor = descriptor
        return self._descriptor

    def make(self, mode: int = 0o700) -> None:
        """Make it, and what is missing above it; there already is done."""
        if self._above is None:
            self.path.mkdir(mode, parents=True, exist_ok=True)
            return
        with suppress(FileExistsError):
            os.mkdir(self._name, mode, dir_fd=self._place)

    def directory(self, name: str) -> OwnDirectory:
        return OwnDirectory(self.path / name, above=self)

    def file(self, name: str) -> OwnFile:
        return OwnFile(self, name)

    def names(self) -> tuple[str, ...]:
        """Sorted names in the directory. Raises :class:`OSError`."""
        names = os.listdir(self.descriptor)  # noqa: PTH208 Path knows no descriptors
        return tuple(sorted(names))

    def sync(self) -> None:
        """Make renames, new and removed names survive a power cut."""
        self.flush(self.descriptor)

    def flush(self, descriptor: int) -> None:
        """What was written to it, or to a file in it, is on disk when this returns."""
        os.fsync(descriptor)

    async def to_the_end(self, call: Callable[[], T], name: str) -> T:
        """Work on the files in it, off the event loop: a slow disk holds up nobody else."""
        return await to_the_end(call, name)

    @property
    def _name(self) -> str:
        return str(self.path) if self._above is None else self.path.name

    @property
    def _place(self) -> int | None:
        return None if self._above is None else self._above.descriptor


class OwnFile:
    """A file in such a directory. It need not be there."""

    def __init__(self, directory: OwnDirectory, name: str) -> None:
        self.directory = directory
        self.name = name

    @classmethod
    def at(cls, path: Path) -> OwnFile:
        """The file at ``path``, in a directory of its own descriptor."""
        return OwnDirectory(path.parent).file(path.name)

    async def to_the_end(self, call: Callable[[], T], name: str) -> T:
        """As :meth:`OwnDirectory.to_the_end`."""
        return await self.directory.to_the_end(call, name)

    @property
    def path(self) -> Path:
        """Its path, for messages."""
        return self.directory.path / self.name

    @property
    def previous(self) -> OwnFile:
        """The generation before this one."""
        return self.directory.file(self.name + PREVIOUS_SUFFIX)

    def exists(self) -> bool:
        try:
            os.stat(self.name, dir_fd=self.directory.descriptor)
        except OSError:
            return False
        return True

    def mode(self) -> int | None:
        """Its permissions; None if the file is absent."""
        try:
            return os.stat(self.name, dir_fd=self.directory.descriptor).st_mode
        except OSError:
            return None

    def size(self) -> int:
        """Its bytes; 0 if the file is absent. Raises :class:`OSError`."""
        try:
            return os.stat(self.name, dir_fd=self.directory.descriptor).st_size
        except FileNotFoundError:
            return 0

    def read(self) -> bytes | None:
        """Its content; None if the file is absent. Raises :class:`OSError` if it cannot be read."""
        try:
            with self.opened(os.O_RDONLY) as descriptor:
                return b"".join(iter(lambda: os.read(descriptor, _CHUNK), b""))
        except FileNotFoundError:
            return None

    @contextmanager
    def opened(self, flags: int, mode: int = 0o600) -> Iterator[int]:
        """A descriptor; never of a link, FIFO or device. Raises :class:`OSError`."""
        place = self.directory.descriptor
        descriptor = open_regular(self.name, flags, mode, dir_fd=place)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def write(self, data: bytes, mode: int = 0o600, *, keep_previous: bool = False) -> None:
        """Replace the file: whoever reads sees the old or the new one.

        Durable when it returns. ``keep_previous`` leaves the old one as :attr:`previous`.
        Raises :class:`SystemFailure`; the old file is then untouched.
        """
        temporary = self.directory.file(f".{self.name}.{os.getpid()}.tmp")
        try:
            temporary.remove()
            with temporary.opened(os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode) as descriptor:
                os.fchmod(descriptor, mode)
                _write_all(descriptor, data)
                self.directory.flush(descriptor)
            if keep_previous:
                self._keep_previous()
            temporary.rename(self.name)
            self.directory.sync()
        except OSError as error:
            with suppress(OSError):
                temporary.remove()
            raise SystemFailure(f"{self.path} could not be written", details=str(error)) from error

    def append(self, data: bytes, *, durable: bool) -> None:
        """All of it or nothing: half a record (ENOSPC) would spoil those after it.

        On disk when it returns if ``durable``. Raises :class:`OSError`.
        """
        with self.opened(os.O_WRONLY | os.O_APPEND | os.O_CREAT) as descriptor:
            size = os.fstat(descriptor).st_size
            try:
                _write_all(descriptor, data)
                if durable:
                    self.directory.flush(descriptor)
            except OSError:
                os.ftruncate(descriptor, size)
                raise

    def cut_off(self, size: int) -> None:
        """Drop its last ``size`` bytes. Raises :class:`OSError`."""
        with self.opened(os.O_WRONLY) as descriptor:
            os.truncate(descriptor, os.fstat(descriptor).st_size - size)

    def remove(self) -> None:
        """Absent is done. Raises :class:`OSError`."""
        with suppress(FileNotFoundError):
            os.unlink(self.name, dir_fd=self.directory.descriptor)

    def rename(self, name: str) -> None:
        """Take the place of the file of this name. Raises :class:`OSError`."""
        place = self.directory.descriptor
        os.replace(self.name, name, src_dir_fd=place, dst_dir_fd=place)

    def link(self, name: str) -> None:
        """Give it a second name. Raises :class:`OSError`."""
        place = self.directory.descriptor
        os.link(self.name, name, src_dir_fd=place, dst_dir_fd=place)

    def _keep_previous(self) -> None:
        """Keep the previous file by a hard link and a rename, so that one of them always exists."""
        link = self.directory.file(f".{self.name}.{os.getpid()}.previous")
        link.remove()
        try:
            self.link(link.name)
        except FileNotFoundError:
            return
        link.rename(self.previous.name)


def directory(path: Path) -> OwnDirectory:
    """The directory at ``path``, which need not be there yet."""
    return OwnDirectory(path)


def _write_all(descriptor: int, data: bytes) -> None:
    """However many writes it takes. Not on disk yet when it returns."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
