"""Clients that mean no good, as a process of their own: `python -m tests.http.hostile`.

`PORT COUNT SECONDS`: that many at a time, of every kind in turn; each comes back when it is
thrown out.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

_AGAIN_S = 1.0
_HEAD = b"GET /api/v1/pools HTTP/1.1\r\nHost: localhost\r\n"
_LARGE = b"GET /docs/static/swagger-ui/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
Client = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def slow_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for byte in _HEAD * 1000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.1)
        if reader.at_eof():
            return


async def slow_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    kind = b"Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n"
    writer.write(b"POST" + _HEAD[3:] + kind)
    while not reader.at_eof():
        writer.write(b"[")
        await writer.drain()
        await asyncio.sleep(0.1)


async def never_reading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    while True:
        writer.write(_LARGE)
        await writer.drain()
        await asyncio.sleep(0.1)


async def half_open(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(_HEAD)
    writer.write_eof()
    await reader.read()


async def http2(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" * 100)
    await reader.read()


async def h2c(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(_HEAD + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n")
    writer.write(b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n")
    await reader.read()


async def websocket(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(_HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13")
    writer.write(b"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    await reader.read()


async def pipelined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while not reader.at_eof():
        writer.write((_HEAD + b"\r\n") * 50)
        await writer.drain()
        await reader.read(1 << 16)


KINDS: tuple[Client, ...] = (
    silent,
    slow_head,
    slow_body,
    never_reading,
    half_open,
    http2,
    h2c,
    websocket,
    pipelined,
)


async def _attack(port: int, kind: Client) -> None:
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                await kind(reader, writer)
            finally:
                writer.close()
        await asyncio.sleep(_AGAIN_S)


async def main(port: int, count: int, seconds: float) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(_attack(port, KINDS[number % len(KINDS)]))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
