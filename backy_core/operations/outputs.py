"""Command outputs of one operation: live, in order, bounded."""

from __future__ import annotations

from collections import deque

from backy_core.store.changes import Changes

_LINE_LIMIT = 4096


class OutputLog:
    """Lines in the order they came; the oldest go first when there are too many.

    Line numbers are absolute, so a reader who resumes at an offset never sees a line twice.
    """

    def __init__(self, max_lines: int, changes: Changes | None = None) -> None:
        self._changes = changes or Changes()
        self._lines: deque[str] = deque()
        self._max_lines = max_lines
        self._first = 0
        self.size = 0
        """Characters kept."""

    def append(self, line: str) -> None:
        kept = line if len(line) <= _LINE_LIMIT else line[:_LINE_LIMIT] + "…"
        self._lines.append(kept)
        self.size += len(kept)
        while len(self._lines) > self._max_lines:
            self._drop_first()
        self._changes.tell()

    def _drop_first(self) -> None:
        self.size -= len(self._lines.popleft())
        self._first += 1

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(self._lines)

    @property
    def next_offset(self) -> int:
        return self._first + len(self._lines)

    def since(self, offset: int) -> tuple[str, ...]:
        """The lines from absolute number ``offset`` on."""
        skip = max(0, offset - self._first)
        return tuple(self._lines)[skip:]

    def drop(self) -> None:
        """Forget every line; numbering goes on."""
        self._first = self.next_offset
        self._lines.clear()
        self.size = 0
