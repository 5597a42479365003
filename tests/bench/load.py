"""A client as light as can be, so that the server is what is measured."""

from __future__ import annotations

import selectors
import socket
import time
from dataclasses import dataclass

_CONNECTIONS = 4
_CHUNK = 1 << 18


@dataclass
class _Connection:
    """One kept-alive connection with one unanswered request."""

    sock: socket.socket
    missing: int = -1
    """Bytes of the reply still to come; -1 while its head is not complete."""
    head: bytes = b""

    def take(self, data: bytes) -> bool:
        """True when the reply is complete. Raises ValueError if it is not a 200."""
        if self.missing < 0:
            self.head += data
            head, separator, body = self.head.partition(b"\r\n\r\n")
            if not separator:
                return False
            self.missing = _length(head) - len(body)
            self.head = b""
        else:
            self.missing -= len(data)
        if self.missing > 0:
            return False
        self.missing = -1
        return True


def _length(head: bytes) -> int:
    lines = head.split(b"\r\n")
    if b" 200" not in lines[0]:
        raise ValueError(f"the server answered {lines[0].decode()}")
    lengths = (line for line in lines if line.lower().startswith(b"content-length:"))
    return int(next(lengths).split(b":")[1])


def requests_per_second(port: int, path: str, key: str, seconds: float) -> float:
    """GET ``path`` over kept-alive connections, each sending as soon as it has its reply."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {key}\r\n\r\n".encode()
    with selectors.DefaultSelector() as selector:
        connections = [_Connection(connect(port)) for _ in range(_CONNECTIONS)]
        try:
            for connection in connections:
                selector.register(connection.sock, selectors.EVENT_READ, connection)
                connection.sock.sendall(request)
            return _pump(selector, request, seconds)
        finally:
            for connection in connections:
                connection.sock.close()


def connect(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _pump(selector: selectors.BaseSelector, request: bytes, seconds: float) -> float:
    began, done = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - began) < seconds:
        for key, _ in selector.select(timeout=10):
            connection: _Connection = key.data
            data = connection.sock.recv(_CHUNK)
            if not data:
                raise ConnectionError("the server closed the connection")
            if connection.take(data):
                done += 1
                connection.sock.sendall(request)
    return done / elapsed


def get(port: int, path: str, key: str) -> bytes:
    """One reply's body."""
    request = (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {key}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(request.encode())
        reply = b"".join(iter(lambda: sock.recv(_CHUNK), b""))
    head, _, body = reply.partition(b"\r\n\r\n")
    _length(head)
    return body
