"""Behind a real server: raw paths, clients that leave, odd requests."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypercorn.asyncio import serve
from hypercorn.config import Config
from quart import Quart

from tests.http.fakes import GUID, KEY, FakeAgent, standing_pool
from tests.http.test_pools import create_body


class Server:
    """A listening agent; one raw connection per request."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def send(
        self, method: str, path: str, body: Any = None, host: str = "localhost"
    ) -> asyncio.StreamReader:
        reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
        data = b"" if body is None else json.dumps(body).encode()
        head = [
            f"{method} {path} HTTP/1.1",
            f"Host: {host}",
            f"X-Api-Key: {KEY}",
            "Content-Type: application/json",
            f"Content-Length: {len(data)}",
            "Connection: close",
        ]
        self._writer.write("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + data)
        await self._writer.drain()
        return reader

    async def ask(
        self, method: str, path: str, body: Any = None, host: str = "localhost"
    ) -> tuple[int, Any]:
        reader = await self.send(method, path, body, host)
        head, _, text = (await asyncio.wait_for(reader.read(), 10)).partition(b"\r\n\r\n")
        self._writer.close()
        return int(head.split()[1]), json.loads(text) if text else None

    async def send_and_leave(
        self, method: str, path: str, reached: Callable[[], bool], body: Any = None
    ) -> None:
        """Send, wait until the agent works on it, and go away without an answer."""
        await self.send(method, path, body)
        await _until(reached)
        self._writer.close()
        await self._writer.wait_closed()
        await asyncio.sleep(0.1)  # the server learns of it through the event loop


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def server(app: Quart) -> AsyncIterator[Server]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.errorlog = None
    config.graceful_timeout = 1
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(app, config, shutdown_trigger=stop.wait))
    yield Server(listener.getsockname()[1])
    stop.set()
    await serving
    listener.detach()  # the server closed the descriptor


@pytest.mark.parametrize(
    "form", [f"%2Fmnt%2Fbacky%2F{GUID}", f"mnt/backy/{GUID}", f"/mnt/backy/{GUID}"]
)
async def test_mount_paths(server: Server, agent: FakeAgent, form: str) -> None:
    agent.pools.add(standing_pool())
    for suffix in ("", "/processes", "/processes/"):
        assert await server.ask("GET", f"/api/v1/mounts/{form}{suffix}") == (
            200,
            {"processes": []},
        )
    assert (await server.ask("GET", f"/api/v1/mounts/{form}/size"))[0] == 200


async def test_both_slash_forms(server: Server) -> None:
    assert await server.ask("GET", "/api/v1/pools") == (200, [])
    assert await server.ask("GET", "/api/v1/pools/") == (200, [])


async def test_a_client_that_leaves_in_mid_delete(server: Server, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    agent.pools.gate.clear()
    await server.send_and_leave(
        "DELETE", f"/api/v1/pools/{GUID}", lambda: bool(agent.operations.all())
    )
    [operation] = agent.operations.all()
    assert operation.running
    agent.pools.gate.set()
    await operation.wait()
    assert (await server.ask("GET", f"/api/v1/pools/{GUID}"))[1]["state"] == "deleted"


async def test_a_client_that_leaves_in_mid_create(server: Server, agent: FakeAgent) -> None:
    agent.pools.admission.clear()
    asked = 0
    admit = agent.pools.create

    async def counted(request: Any) -> Any:
        nonlocal asked
        asked += 1
        return await admit(request)

    agent.pools.create = counted  # type: ignore[method-assign]
    await server.send_and_leave("POST", "/api/v1/pools", lambda: asked == 1, create_body())
    agent.pools.admission.set()
    await _until(lambda: bool(agent.operations.all()))
    [operation] = agent.operations.all()
    await operation.wait()
    assert (await server.ask("GET", f"/api/v1/pools/{GUID}"))[1]["state"] == "ready"


@pytest.mark.parametrize("host", ["..", "a b", "a:b:c", "x" * 300, "[::1", "xn--", ""])
async def test_the_host_header_does_not_matter(server: Server, host: str) -> None:
    assert await server.ask("GET", "/api/v1/pools", host=host) == (200, [])


async def test_broken_http_is_refused(server: Server) -> None:
    """By the server, before it reaches the application."""
    assert (await server.ask("GET", "/api/v1/pools?state=\xff"))[0] == 400


async def test_a_body_that_never_comes(server: Server, app: Quart) -> None:
    """Refused as the client's mistake: clients re-send after 408."""
    app.config["BODY_TIMEOUT"] = 0.2
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = f"X-Api-Key: {KEY}\r\nContent-Type: application/json\r\nContent-Length: 50\r\n"
    writer.write(f"POST /api/v1/pools HTTP/1.1\r\nHost: x\r\n{head}\r\n{{".encode())
    status = await asyncio.wait_for(reader.readline(), 10)
    assert status.split()[1] == b"400"
    writer.close()
