"""Watch files of procfs for changes.

``/proc/mdstat`` and ``mountinfo`` announce a change by POLLPRI, and each poll(2) consumes the
announcement, so the event loop's own epoll cannot watch them: one thread polls them.
"""

from __future__ import annotations

import asyncio
import os
import select
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

_CHANGED = select.POLLPRI | select.POLLERR


class FileWatch:
    """Calls back in ``loop`` for each change, from :meth:`start` until :meth:`stop`."""

    def __init__(
        self, files: Mapping[Path, Callable[[], None]], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._files = dict(files)
        self._loop = loop
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._stopped = False
        self._open: dict[int, Path] = {}
        self._thread = threading.Thread(target=self._watch, name="backy-watch", daemon=True)

    def start(self) -> None:
        """Changes from now on are announced: the files are open when this returns."""
        self._open_missing(announce=False)
        self._thread.start()

    def retry(self) -> None:
        """Open what was not there: md makes its file when it is loaded."""
        if len(self._open) < len(self._files):
            os.eventfd_write(self._wake, 1)

    def stop(self) -> None:
        """No callback comes after this."""
        self._stopped = True
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        for descriptor in (*self._open, self._wake):
            os.close(descriptor)

    def _watch(self) -> None:
        while not self._stopped:
            poll = select.poll()
            poll.register(self._wake, select.POLLIN)
            for descriptor in self._open:
                poll.register(descriptor, _CHANGED)
            for descriptor, _ in poll.poll():
                if descriptor == self._wake:
                    os.eventfd_read(descriptor)
                else:
                    self._announce(descriptor)
            self._open_missing(announce=True)

    def _announce(self, descriptor: int) -> None:
        """mdstat announces the same change again until it is read to its end."""
        path = self._open[descriptor]
        try:
            os.lseek(descriptor, 0, os.SEEK_SET)
            while os.read(descriptor, 65536):
                pass
        except OSError:
            os.close(descriptor)
            del self._open[descriptor]
        self._call(path)

    def _open_missing(self, *, announce: bool) -> None:
        for path in self._files.keys() - self._open.values():
            with suppress(OSError):
                self._open[os.open(path, os.O_RDONLY | os.O_CLOEXEC)] = path
                if announce:
                    self._call(path)

    def _call(self, path: Path) -> None:
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._call_back, path)

    def _call_back(self, path: Path) -> None:
        if not self._stopped:
            self._files[path]()
