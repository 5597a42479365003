"""Reads are answered in one task; bodies, streams and clients that leave still work."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from quart import Response, request

from backy_core.api.app import AgentApp
from backy_core.api.server.server import Server

BIG = b"x" * (4 << 20)


class Tried:
    """An application with one route of each kind, and what happened to it."""

    def __init__(self) -> None:
        self.app = AgentApp("tried", static_folder=None)
        self.tasks: list[asyncio.Task[Any] | None] = []
        self.ended = asyncio.Event()
        self.app.add_url_rule("/echo", "echo", self.echo, methods=["GET", "POST"])
        self.app.add_url_rule("/big", "big", self.big)
        self.app.add_url_rule("/stream", "stream", self.stream)

    async def echo(self) -> Response:
        self.tasks.append(asyncio.current_task())
        return Response(await request.get_data(as_text=False))

    async def big(self) -> Response:
        return Response(BIG)

    async def stream(self) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"part "
                    await asyncio.sleep(0.01)
            finally:
                self.ended.set()

        return Response(parts())


@pytest.fixture
def tried() -> Tried:
    return Tried()


@pytest.fixture
async def port(tried: Tried) -> AsyncIterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(tried.app, trusts=lambda _: True)
    server.listen(listener)
    yield listener.getsockname()[1]
    await server.close(1)


async def ask(port: int, text: str) -> bytes:
    """Everything that is answered until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{text}\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


def head(method: str, path: str, *fields: str) -> str:
    lines = (f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *fields)
    return "".join(f"{line}\r\n" for line in lines)


async def test_a_read_is_answered_in_the_task_it_came_in(tried: Tried) -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
    }
    scope |= {"path": "/echo", "query_string": b"", "root_path": "", "headers": []}
    await tried.app(scope, receive, send)  # type: ignore[arg-type]
    assert tried.tasks == [asyncio.current_task()]
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_body_is_read_whatever_the_method(port: int, method: str) -> None:
    answer = await ask(port, head(method, "/echo", "Content-Length: 4") + "\r\nbody")
    assert answer.startswith(b"HTTP/1.1 200") and b"\r\n\r\nbody" in answer


async def test_a_head_has_the_length_and_no_body(port: int) -> None:
    answer = await ask(port, head("HEAD", "/big"))
    assert answer.endswith(b"\r\n\r\n") and str(len(BIG)).encode() in answer


async def test_a_stream_goes_on_until_the_client_leaves(tried: Tried, port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{head('GET', '/stream')}\r\n".encode())
    async with asyncio.timeout(10):
        assert await reader.readuntil(b"part ") and await reader.readuntil(b"part ")
        assert not tried.ended.is_set()
        writer.close()
        await tried.ended.wait()


async def test_a_client_that_leaves_in_mid_reply_is_no_failure(port: int) -> None:
    failures: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failures.append(context))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{head('GET', '/big')}\r\n".encode())
    await reader.readexactly(1000)
    writer.transport.abort()
    assert (await ask(port, head("GET", "/echo"))).startswith(b"HTTP/1.1 200")
    await asyncio.sleep(0.1)
    gc.collect()
    assert failures == []
