"""The latest events as Server-Sent Events, numbered, for clients that come back."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

RING_BYTES = 1 << 20


class Event(NamedTuple):
    """What clients are told; ``data`` is JSON."""

    name: str
    data: bytes


class Ring:
    """Keeps the newest events, as many as fit into ``most_bytes``.

    An id is that of the agent instance and a number that counts up from 1; 0 is before any event.
    """

    def __init__(self, agent_instance: str, most_bytes: int = RING_BYTES) -> None:
        self._instance = agent_instance
        self._most_bytes = most_bytes
        self._frames: deque[bytes] = deque()
        self._size = 0
        self._last = 0

    @property
    def last_id(self) -> str:
        return f"{self._instance}:{self._last}"

    def add(self, event: Event) -> bytes:
        """Number ``event`` and keep it; returns it as it is sent."""
        self._last += 1
        sent = self.framed(event)
        self._frames.append(sent)
        self._size += len(sent)
        while self._size > self._most_bytes:
            self._size -= len(self._frames.popleft())
        return sent

    def framed(self, event: Event) -> bytes:
        """``event`` under the last id."""
        fields = (self.last_id.encode(), event.name.encode(), event.data)
        return b"id: %b\nevent: %b\ndata: %b\n\n" % fields

    def knows(self, event_id: str) -> bool:
        """Whether the id is of this agent instance."""
        return event_id.rpartition(":")[0] == self._instance

    def since(self, event_id: str) -> bytes | None:
        """All that came after the event with this id; None if not all of it is kept."""
        number = event_id.rpartition(":")[2]
        if not (self.knows(event_id) and number.isascii() and number.isdecimal()):
            return None
        missed = self._last - int(number[:20])
        if not 0 <= missed <= len(self._frames):
            return None
        return b"".join(list(self._frames)[len(self._frames) - missed :])
