"""Replies without an end: bytes made once for all clients, sent as fast as each client reads.

A stream has no task and no timer of its own: what makes the bytes calls it, and the connection says
when the client reads again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from backy_core.api.server.limits import CHUNK_BYTES, MAX_BEHIND_BYTES

MESSAGE = "backy.response.stream"
"""The type of the ASGI message that ends an application's part in a reply: its ``feed`` goes on."""
_LAST_CHUNK = b"0\r\n\r\n"


class Part:
    """Bytes of a body, framed as a chunk of HTTP/1.1."""

    def __init__(self, data: bytes) -> None:
        head = b"%x\r\n" % len(data)
        self.chunk = memoryview(b"%b%b\r\n" % (head, data))
        self._start = len(head)

    @property
    def plain(self) -> memoryview:
        """The bytes alone, as HTTP/1.0 has them."""
        return self.chunk[self._start : -2]


class Stream:
    """What one client has yet to get. It keeps references: clients share the bytes."""

    def __init__(self, transport: asyncio.Transport, *, chunked: bool) -> None:
        self._transport = transport
        self._chunked = chunked
        self._queue: deque[memoryview] = deque()
        self._behind = 0
        self._most_behind = MAX_BEHIND_BYTES
        self._paused = False

    def begin(self, part: Part) -> None:
        """Send the first part, which may be larger than a client may fall behind later."""
        self._most_behind = MAX_BEHIND_BYTES + len(part.chunk)
        self.send(part)

    def send(self, part: Part) -> None:
        """Send now, or once the client has read what came before. A client that is too far behind
        is cut off."""
        if self._behind > self._most_behind:
            self._transport.abort()
            return
        data = part.chunk if self._chunked else part.plain
        self._queue.append(data)
        self._behind += len(data)
        self._go_on()

    def pause(self) -> None:
        """The client does not read."""
        self._paused = True

    def resume(self) -> None:
        """The client reads again."""
        self._paused = False
        self._go_on()

    def end(self) -> None:
        """End the reply now, whatever the client has yet to get."""
        if self._queue or self._transport.get_write_buffer_size():
            self._transport.abort()
            return
        if self._chunked:
            self._transport.write(_LAST_CHUNK)
        self._transport.close()

    def _go_on(self) -> None:
        while self._queue and not (self._paused or self._transport.is_closing()):
            part = self._queue.popleft()
            piece, rest = part[:CHUNK_BYTES], part[CHUNK_BYTES:]
            if rest:
                self._queue.appendleft(rest)
            self._behind -= len(piece)
            self._transport.write(piece)  # may call pause()
        if not self._queue:
            self._most_behind = MAX_BEHIND_BYTES


Feed = Callable[[Stream], Callable[[], None]]
"""Begins to send to a stream; the returned function is called when the client has left."""
