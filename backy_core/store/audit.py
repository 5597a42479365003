"""Changes and their callers: ``audit.log``, one JSON object a line.

Writing never holds up the event loop, nor a call. What cannot be written is counted and said.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections import deque
from functools import partial

from backy_core.logs import Repeated
from backy_core.system.clock import Clock
from backy_core.system.own_files import OwnFile

MOST_BYTES = 4 << 20
"""Of one file, which then becomes the newest of the older ones."""
OLDER_FILES = 4
"""``audit.log.1`` is the newest of them."""
MOST_WAITING = 10_000
"""Lines, while the disk is slow."""


class AuditLog:
    """Lines are written in the order they came, several at once if they come fast."""

    def __init__(self, file: OwnFile, clock: Clock) -> None:
        self.problem: str | None = None
        """Why the last lines could not be written."""
        self._file = file
        self._clock = clock
        self._waiting: deque[bytes] = deque()
        self._lost = 0
        self._checked = False
        self._writing: asyncio.Task[None] | None = None
        self._cannot_write = Repeated(logging.getLogger(__name__), logging.ERROR)

    def write(self, event: str, **fields: object) -> None:
        """Have a line written soon, with the time and these fields except those that are None."""
        if len(self._waiting) >= MOST_WAITING:
            self._lose(1, "the disk does not keep up")
            return
        self._waiting.append(self._line(event, fields))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_waiting())

    async def settle(self, within_s: float | None = None) -> None:
        """Return once everything is written, or could not be, or after this time."""
        if self._writing is not None:
            await asyncio.wait({self._writing}, timeout=within_s)

    def _line(self, event: str, fields: dict[str, object]) -> bytes:
        given = {name: value for name, value in fields.items() if value is not None}
        entry = {"time": self._clock.now().isoformat(), "event": event, **given}
        return json.dumps(entry).encode() + b"\n"

    async def _write_waiting(self) -> None:
        while self._waiting:
            lines, lost = [*self._waiting], self._lost
            self._waiting.clear()
            told = [self._line("lost", {"lines": lost})] if lost else []
            data = b"".join([*told, *lines])
            try:
                await self._file.to_the_end(partial(self._append, data), "write the audit log")
            except OSError as error:
                self._lose(len(lines), error.strerror or str(error))
            else:
                self._lost -= lost
                self.problem = None

    def _lose(self, lines: int, reason: str) -> None:
        self._lost += lines
        self.problem = f"{self._file.path} cannot be written: {reason}"
        self._cannot_write("%s; lines lost so far: %d", self.problem, self._lost)

    def _append(self, data: bytes) -> None:
        size = self._file.size()
        if not self._checked and size:
            data = self._end_torn_line(size) + data
        if size and size + len(data) > MOST_BYTES:
            self._rotate()
        self._file.append(data, durable=True)
        self._checked = True

    def _end_torn_line(self, size: int) -> bytes:
        """A power cut may have left half a line, which must not spoil the next one."""
        with self._file.opened(os.O_RDONLY) as descriptor:
            return b"" if os.pread(descriptor, 1, size - 1) == b"\n" else b"\n"

    def _rotate(self) -> None:
        names = [self._file.name, *(f"{self._file.name}.{n}" for n in range(1, OLDER_FILES + 1))]
        for number in reversed(range(OLDER_FILES)):
            file = self._file.directory.file(names[number])
            if file.exists():
                file.rename(names[number + 1])
