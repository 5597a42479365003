"""Behind a real server: raw paths, clients that leave, odd requests."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from quart import Quart

from backy_core.api.errors import MisdirectedRequest
from backy_core.api.server.limits import Limits
from backy_core.api.server.server import Server as AgentServer
from backy_core.api.server.targets import Hosts
from tests.http.fake_agent import KEY, FakeAgent
from tests.http.fake_pools import GUID, standing_pool
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

    async def sends(self, text: str) -> bytes:
        """All that is answered until the connection ends."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(text.encode("latin-1"))
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return answer

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
    serving = AgentServer(app, Limits(head_s=0.5, idle_s=0.5))
    serving.listen(listener)
    yield Server(listener.getsockname()[1])
    await serving.close(1)


@pytest.mark.parametrize(
    "form", [f"%2Fmnt%2Fbacky%2F{GUID}", f"mnt/backy/{GUID}", f"/mnt/backy/{GUID}"]
)
async def test_mount_paths(server: Server, agent: FakeAgent, form: str) -> None:
    agent.pools.add(standing_pool())
    status, mounted = await server.ask("GET", f"/api/v1/mounts/{form}")
    assert (status, mounted["poolGroupGuid"]) == (200, GUID)
    for suffix in ("/processes", "/processes/"):
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


@pytest.mark.parametrize("host", ["localhost", "a.localhost:1", "127.0.0.1:5151", "[::1]"])
async def test_loopback_names_are_answered(server: Server, host: str) -> None:
    assert await server.ask("GET", "/api/v1/pools", host=host) == (200, [])


def test_the_address_that_was_connected_to_is_answered() -> None:
    hosts = Hosts(["nas.example"])
    for authority, local in (
        ("192.0.2.1:5151", "192.0.2.1"),
        ("192.0.2.1", "::ffff:192.0.2.1"),
        ("[2001:db8::1]:5151", "2001:db8:0:0::1"),
        ("[fe80::1]", "fe80::1%eth0"),
        ("NAS.example.:443", None),
    ):
        hosts.check(authority, local)
    with pytest.raises(MisdirectedRequest):
        hosts.check("192.0.2.2", "192.0.2.1")


@pytest.mark.parametrize(
    ("host", "status"),
    [("a b", 400), ("a:b:c", 400), ("[::1", 400), ("", 400), ("x" * 300, 421), ("evil.com", 421)],
)
async def test_other_hosts_are_refused(server: Server, host: str, status: int) -> None:
    """A page whose name resolves to this address must not get at the agent."""
    answer, body = await server.ask("GET", "/api/v1/status", host=host)
    assert (answer, set(body)) == (status, {"error"})


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/api/v1/pools?state=\xff", 400),
        ("/%zz%ff", 404),
        ("/api/v1/mounts/%00", 404),
        ("/api/v1/drives/%00/status", 404),
        ("*", 400),
        ("example.org:80", 400),
        ("http://localhost/api/v1/pools", 200),
        ("http://evil.com/api/v1/pools", 421),
        ("http://[/api/v1/pools", 400),
        ("/" + "a" * 9000, 414),
        ("/" + "a" * 20000, 414),
    ],
)
async def test_odd_targets(server: Server, target: str, status: int) -> None:
    answer, body = await server.ask("GET", target)
    assert answer == status, body
    if status >= 400:
        assert {"code", "message"} <= set(body["error"])


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "BREW", "A" * 500])
async def test_odd_methods(server: Server, method: str) -> None:
    assert (await server.ask(method, "/api/v1/pools"))[0] == 405


UPGRADES = {
    "websocket": "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    "h2c": "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
}


@pytest.mark.parametrize("fields", UPGRADES.values(), ids=UPGRADES)
async def test_upgrades_are_answered_as_plain_requests(server: Server, fields: str) -> None:
    head = f"GET /api/v1/pools HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {KEY}\r\n{fields}"
    assert (await server.sends(f"{head}Connection: close\r\n\r\n")).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        ("GET / HTTP/3.0\r\nHost: localhost\r\n\r\n", 400),
        ("\0\0\0\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: localhost\r\n" + "a: b\r\n" * 200 + "\r\n", 431),
        ("GET / HTTP/1.1\r\nHost: localhost\r\n", 400),  # and no more for the head's time
    ],
)
async def test_what_is_not_http(server: Server, text: str, status: int) -> None:
    answer = await server.sends(text)
    assert int(answer.split()[1]) == status
    assert b'{"error":{"code":' in answer


async def test_a_bad_chunk(server: Server) -> None:
    head = f"POST /api/v1/pools HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {KEY}\r\n"
    answer = await server.sends(f"{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n")
    assert answer.startswith(b"HTTP/1.1 400") and b"VALIDATION_ERROR" in answer


@pytest.mark.parametrize("framing", ["Content-Length: 99999", "Transfer-Encoding: chunked"])
async def test_a_body_that_is_too_large(server: Server, framing: str) -> None:
    """The reply arrives although the client still sends."""
    head = f"POST /api/v1/pools HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {KEY}\r\n"
    kind = "Content-Type: application/json\r\n"
    chunk = "1000\r\n" if "chunked" in framing else ""
    body = (chunk + " " * 4096 + ("\r\n" if chunk else "")) * 24
    answer = await server.sends(f"{head}{kind}{framing}\r\n\r\n{body}")
    assert answer.startswith(b"HTTP/1.1 413") and b"PAYLOAD_TOO_LARGE" in answer


async def test_many_requests_on_one_connection(server: Server) -> None:
    request = f"GET /api/v1/pools HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {KEY}\r\n"
    text = f"{request}\r\n" * 20 + f"{request}Connection: close\r\n\r\n"
    assert (await server.sends(text)).count(b"HTTP/1.1 200") == 21


async def test_head_has_no_body(server: Server) -> None:
    head = "HEAD /api/v1/status HTTP/1.1\r\nConnection: close\r\n"
    for host, status in ("localhost", b"200"), ("evil.com", b"421"):
        answer = await server.sends(f"{head}Host: {host}\r\n\r\n")
        assert answer.split()[1] == status and answer.endswith(b"\r\n\r\n")


async def test_a_body_that_never_comes(server: Server, app: Quart) -> None:
    """Refused as the client's mistake: clients re-send after 408."""
    app.config["BODY_TIMEOUT"] = 0.2
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = f"X-Api-Key: {KEY}\r\nContent-Type: application/json\r\nContent-Length: 50\r\n"
    writer.write(f"POST /api/v1/pools HTTP/1.1\r\nHost: localhost\r\n{head}\r\n{{".encode())
    status = await asyncio.wait_for(reader.readline(), 10)
    assert status.split()[1] == b"400"
    writer.close()
