"""How much of the agent its clients can take."""

from __future__ import annotations

from dataclasses import dataclass

MAX_HEAD_BYTES = 16 * 1024
MAX_TARGET_BYTES = 8 * 1024
MAX_BODY_BYTES = 32 * 1024
"""Far more than any request needs, and little enough to be read between two turns of the loop."""
MAX_FIELDS = 100
"""Header fields of a request."""
CHUNK_BYTES = 16 * 1024
"""Read and written at a time; nothing of a connection waits in larger buffers."""
SOCKET_BUFFER_BYTES = 64 * 1024
"""Of the kernel's, for each direction of a connection."""
MAX_BEHIND_BYTES = 256 * 1024
"""Of a stream, how far a client may fall behind."""
MAX_PARTS = 200
"""Pieces of a body taken before others have their turn: each can be one byte."""
UNTRUSTED_AT_WORK = 2
"""Requests without the key that are answered at a time: others never queue behind them."""
UNTRUSTED_PAUSE_S = 0.005
"""After each of them: all together they cannot keep a processor busy."""
ACCEPTS_PER_TURN = 4
"""So few that an accepted client is read before enough others come in to displace it."""
BACKLOG = 1024


@dataclass(frozen=True)
class Limits:
    """Counts of connections, and seconds."""

    connections: int = 256
    requests: int = 1000
    """Of one connection, which is then closed."""
    head_s: float = 10
    """From connecting, or from the first byte of a further request, to the end of its head."""
    body_s: float = 30
    idle_s: float = 60
    """Between two requests."""
    stalled_s: float = 20
    """How long a client may take nothing of its reply."""
    linger_s: float = 2
    """How long a client that still sends is listened to after its reply, so that it reads it."""

    @property
    def streams(self) -> int:
        """Connections that may be replies without an end; the others are for requests."""
        return max(1, self.connections * 7 // 8)

    @property
    def unfinished(self) -> int:
        """Connections that have not had one request answered."""
        return max(1, self.connections // 4)
