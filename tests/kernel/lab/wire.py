"""The command channel's frames, spoken by both sides of the guest's private network.

A frame is one byte of kind, four bytes of length (network order), then the payload. The caller
sends one `request` (JSON); the guest answers any number of `out` and `err` frames and one `result`
(JSON).
"""

import json
import socket
import struct
from typing import Any

REQUEST, OUT, ERR, RESULT = b"q", b"o", b"e", b"r"
ADDRESS = "10.77.0.2"
PORT = 5150
_HEAD = struct.Struct("!cI")


def send(sock: socket.socket, kind: bytes, payload: bytes) -> None:
    """Write one frame."""
    sock.sendall(_HEAD.pack(kind, len(payload)) + payload)


def send_json(sock: socket.socket, kind: bytes, value: Any) -> None:
    """Write one frame that carries JSON."""
    send(sock, kind, json.dumps(value).encode())


def receive(sock: socket.socket) -> tuple[bytes, bytes]:
    """Read one frame; raises ConnectionError when the other side is gone."""
    kind, length = _HEAD.unpack(_exactly(sock, _HEAD.size))
    return kind, _exactly(sock, length)


def _exactly(sock: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        chunk = sock.recv(min(count - len(data), 1 << 16))
        if not chunk:
            raise ConnectionError("the other side closed the command channel")
        data += chunk
    return bytes(data)
