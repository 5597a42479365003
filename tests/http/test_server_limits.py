"""Connections that are closed when there are too many, and the fate of slow clients."""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import socket
from collections.abc import AsyncIterator, Callable

import pytest
from quart import Quart

from backy_core.api.auth import bears_key
from backy_core.api.server.limits import Limits
from backy_core.api.server.server import Server
from tests.http.fake_agent import KEY, FakeAgent

ASK = b"GET /api/v1/pools HTTP/1.1\r\nHost: localhost\r\n"
WITH_KEY = ASK + f"X-Api-Key: {KEY}\r\n\r\n".encode()
WITHOUT = ASK + b"\r\n"
QUICK = Limits(connections=8, head_s=0.3, idle_s=0.6, stalled_s=0.3, linger_s=0.3)
PATIENT = Limits(connections=8)
Connect = Callable[[], "asyncio.Future[Client]"]


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, text: bytes) -> bytes:
        """The status, and no byte left of the reply."""
        self._writer.write(text)
        head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 10)
        length = next(x for x in head.lower().split(b"\r\n") if x.startswith(b"content-length"))
        await self._reader.readexactly(int(length.split(b":")[1]))
        return head.split()[1]

    async def ended(self, within: float = 10) -> bool:
        """Whether the server ends it."""
        try:
            await asyncio.wait_for(self._reader.read(), within)
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return True


class Site:
    """A server with limits of its own, and clients of it."""

    def __init__(self, app: Quart, agent: FakeAgent, limits: Limits) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self.server = Server(app, limits, trusts=lambda fields: bears_key(fields, agent.keys))
        self.server.listen(listener)
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(writer)
        return Client(reader, writer)

    async def close(self) -> None:
        for writer in self._writers:
            writer.close()
        await self.server.close(1)


@pytest.fixture
async def site(app: Quart, agent: FakeAgent, request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    made = Site(app, agent, getattr(request, "param", PATIENT))
    yield made
    await made.close()


async def test_the_silent_make_room(site: Site) -> None:
    """A quarter of the connections may be new; the oldest of them goes first."""
    silent = [await site.connect() for _ in range(20)]
    assert await (await site.connect()).ask(WITH_KEY) == b"200"
    assert await silent[0].ended()


async def test_those_without_the_key_make_room(site: Site) -> None:
    known = await site.connect()
    assert await known.ask(WITH_KEY) == b"200"
    strangers = [await site.connect() for _ in range(2)]
    for _ in range(20):
        strangers.append(await site.connect())
        assert await strangers[-1].ask(WITHOUT) == b"401"
    assert await strangers[2].ended()
    assert await known.ask(WITH_KEY) == b"200"


async def test_those_who_left_wait_for_nothing(site: Site) -> None:
    """Or they would pile up: they come faster than those without the key are answered."""
    for _ in range(100):
        client = await site.connect()
        client._writer.write(WITHOUT)
        await client._writer.drain()
    await asyncio.sleep(0.1)
    assert len(site.server._tasks) <= PATIENT.connections


@pytest.mark.parametrize("site", [QUICK], indirect=True)
async def test_time_is_limited(site: Site) -> None:
    silent, idle, stalled = [await site.connect() for _ in range(3)]
    assert await idle.ask(WITH_KEY) == b"200"
    large = b"GET /docs/static/swagger-ui/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
    stalled._writer.transport.pause_reading()  # type: ignore[attr-defined]
    stalled._writer.write(large)
    for client in silent, idle:
        assert await client.ended(5)
    async with asyncio.timeout(5):
        while site.server._connections:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("site", [Limits(requests=3)], indirect=True)
async def test_requests_of_a_connection_are_limited(site: Site) -> None:
    client = await site.connect()
    for _ in range(3):
        assert await client.ask(WITH_KEY) == b"200"
    assert await client.ended()


async def test_out_of_descriptors(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """One line in the log, no busy loop, and room is made."""
    idle = await site.connect()
    assert await idle.ask(WITHOUT) == b"401"
    _, hard = limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = idle._writer.get_extra_info("socket").fileno()
    client = socket.socket()
    client.setblocking(False)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(used, client.fileno()), hard))
        with pytest.raises(BlockingIOError) as caught:
            client.connect(("127.0.0.1", site.port))
        assert caught.value.errno == errno.EINPROGRESS
        await asyncio.sleep(1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    said = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.message for record in said] == [
        "No more clients can be accepted: Too many open files"
    ]
    assert await idle.ended()
    client.close()
    assert await (await site.connect()).ask(WITH_KEY) == b"200"
