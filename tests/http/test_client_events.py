"""Live events in the client: read, resumed, and watched on the command line."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from quart import Quart

from backy_core.api.server.server import Server
from backy_core.cli.main import main
from backy_core.cli.sockets import socket_of_root
from backy_core.client.address import Address, at_socket
from backy_core.client.aio import AsyncClient
from backy_core.client.errors import ApiError, Unreachable
from backy_core.client.events import Event, EventReader
from backy_core.client.sync import Client
from tests.http.fake_agent import FakeAgent
from tests.http.fake_pools import GUID, standing_pool


@pytest.fixture
async def server(app: Quart, tmp_path: Path) -> AsyncIterator[Server]:
    server = Server(app)
    with socket_of_root(tmp_path / "backy.sock") as listener:
        server.listen_to_root(listener)
        yield server
        await server.close(1)


async def no_pause(seconds: float) -> None:
    await asyncio.sleep(0)


async def test_a_snapshot_and_then_the_changes(
    server: Server, agent: FakeAgent, tmp_path: Path
) -> None:
    events = AsyncClient(at_socket(f"{tmp_path}/backy.sock")).events()
    async with asyncio.timeout(10):
        first = await anext(events)
        assert (first.name, first.data["pools"]) == ("snapshot", [])
        agent.pools.add(standing_pool())
        event = await anext(events)
        assert (event.name, event.data["label"]) == ("pool", "backup-1")
        await events.aclose()  # type: ignore[attr-defined]


async def test_a_lost_connection_goes_on_where_it_was(
    server: Server, agent: FakeAgent, tmp_path: Path
) -> None:
    client = AsyncClient(at_socket(f"{tmp_path}/backy.sock"), sleep=no_pause)
    events = client.events()
    async with asyncio.timeout(10):
        await anext(events)
        for connection in tuple(server._connections):
            connection.abort()
        agent.pools.add(standing_pool())
        event = await anext(events)
        assert (event.name, event.data["label"]) == ("pool", "backup-1")
        await events.aclose()  # type: ignore[attr-defined]


async def test_the_waiting_face_reads_them_too(
    server: Server, agent: FakeAgent, tmp_path: Path
) -> None:
    read: list[Event] = []

    def follow() -> None:
        for event in Client(at_socket(f"{tmp_path}/backy.sock"), sleep=lambda _: None).events():
            read.append(event)
            if len(read) == 2:
                return

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    async with asyncio.timeout(10):
        while not read:
            await asyncio.sleep(0.01)
        agent.pools.add(standing_pool())
        while thread.is_alive():
            await asyncio.sleep(0.01)
    assert [event.name for event in read] == ["snapshot", "pool"]


async def test_nobody_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(Unreachable):
        await anext(AsyncClient(at_socket(f"{tmp_path}/none"), sleep=no_pause).events())


STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    b': heartbeat\n\nid: a:1\nevent: pool-removed\ndata: {"poolGroupGuid": "x"}\n\nid: a:2'
)


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_events_may_come_in_pieces(step: int) -> None:
    reader = EventReader(Address("nas2"), "", "a:0")
    assert b"\r\nLast-Event-ID: a:0\r\n" in reader.request
    read = []
    for start in range(0, len(STREAM), step):
        read += reader.receive(STREAM[start : start + step])
    assert read == [Event("a:1", "pool-removed", {"poolGroupGuid": "x"})]
    with pytest.raises(Unreachable):
        reader.receive(b"")


def test_a_refusal_is_an_error() -> None:
    reader = EventReader(Address("nas2"), "", "")
    body = b'{"error": {"code": "UNAUTHORIZED", "message": "API key is required"}}'
    for part in (b"HTTP/1.1 401 x\r\n\r\n", body[:9], body[9:]):
        assert reader.receive(part) == []
    with pytest.raises(ApiError, match="API key is required"):
        reader.receive(b"")


@pytest.mark.parametrize("words", [["pools", "--watch"], ["events"], ["events", "--json"]])
async def test_what_changes_is_shown(
    server: Server,
    agent: FakeAgent,
    tmp_path: Path,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Until Ctrl-C, which here is the end of the client's patience."""
    monkeypatch.setenv("BACKY_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    whole = Client.events

    def two(client: Client, last_id: str = "") -> object:
        for number, event in enumerate(whole(client, last_id)):
            yield event
            if number == 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(Client, "events", two)
    showing = asyncio.create_task(asyncio.to_thread(main, words))
    await asyncio.sleep(0.3)
    agent.pools.add(replace(standing_pool(), label="\x1b[31mevil"))
    assert await asyncio.wait_for(showing, 10) == 0
    out = capsys.readouterr().out
    assert "evil" in out and "\x1b[31m" not in out
    if "--json" in words:
        last = json.loads(out.splitlines()[-1])
        assert (last["event"], last["data"]["poolGroupGuid"]) == ("pool", GUID)
