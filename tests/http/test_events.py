"""Live events, behind the real server: what clients get, and what they are not made to wait for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from pydantic import TypeAdapter
from quart import Quart

from backy_core.api.app import create_app
from backy_core.api.live.hub import LiveEvents
from backy_core.api.routes.events import EXTENSION
from backy_core.api.server.limits import Limits
from backy_core.api.wire.events import LiveEvent
from backy_core.client.address import parse
from backy_core.client.aio import AsyncClient
from backy_core.operations.kinds import OperationKind
from backy_core.operations.records import Operation
from backy_core.store.keys import Scope
from tests.http.conftest import Client
from tests.http.fake_agent import KEY, FakeAgent
from tests.http.fake_drives import available_drive
from tests.http.fake_pools import GUID, OTHER, standing_pool
from tests.http.live import HEARTBEAT, Event, Mirror, Site, served
from tests.http.test_pools import create_body


@pytest.fixture
async def site(app: Quart) -> AsyncIterator[Site]:
    async with served(app) as made:
        yield made


@pytest.fixture
def hub(app: Quart) -> LiveEvents:
    events: LiveEvents = app.extensions[EXTENSION]
    return events


async def until_left(hub: LiveEvents) -> None:
    async with asyncio.timeout(5):
        while hub.clients:
            await asyncio.sleep(0.01)


async def test_a_client_sees_a_pool_being_made(
    site: Site, client: Client, agent: FakeAgent
) -> None:
    agent.pools.gate.clear()
    follower = await site.follow()
    assert follower.status == 200
    assert "content-type: text/event-stream" in follower.head
    first = await follower.next()
    assert (first.name, first.data["reason"]) == ("snapshot", "connected")
    assert first.data["agentInstance"] == agent.agent_instance
    assert first.data["drives"] == (await client.get("/api/v1/drives")).json
    await client.post("/api/v1/pools", create_body())
    events = await follower.until("pool")
    agent.operations.all()[0].outputs.append("mdadm: array started")
    events += await follower.until("outputs")
    agent.pools.gate.set()
    events += await follower.until("pool")
    shown = [
        (event.name, event.data.get("state"), event.data.get("progress", {}).get("title"))
        for event in events
    ]
    assert shown == [
        ("operation", "running", "Creating the array"),
        ("pool", "creating", None),
        ("outputs", None, None),
        ("operation", "succeeded", "Creating the array"),
        ("pool", "ready", None),
    ]
    lines = events[2].data
    assert lines["lines"] == ["mdadm: array started"]
    assert (lines["offset"], lines["nextOffset"]) == (0, 1)


async def test_the_events_lead_to_what_the_lists_show(
    site: Site, client: Client, agent: FakeAgent
) -> None:
    mirror = Mirror()
    agent.pools.add(standing_pool())
    follower = await site.follow()
    mirror.take(await follower.next())
    await client.patch(f"/api/v1/pools/{GUID}", {"label": "renamed"})
    agent.pools.add(standing_pool(guid=OTHER))
    agent.drives_service.listings = [available_drive("SN9")]
    await client.delete(f"/api/v1/pools/{GUID}")
    operation = agent.operations.all()[0].id
    await client.delete(f"/api/v1/operations/{operation}")
    agent.changes.tell()
    for event in await follower.until("drive-removed"):
        mirror.take(event)
    await asyncio.sleep(0.2)
    agent.pools.add(replace(standing_pool(guid=OTHER), label="the last"))
    while mirror.pools[OTHER]["label"] != "the last":
        mirror.take(await follower.next())
    assert list(mirror.pools.values()) == (await client.get("/api/v1/pools")).json
    assert list(mirror.drives.values()) == (await client.get("/api/v1/drives")).json["blockdevices"]
    assert list(mirror.operations.values()) == (await client.get("/api/v1/operations")).json


async def test_every_event_is_as_the_document_says(
    site: Site, client: Client, agent: FakeAgent
) -> None:
    adapter = TypeAdapter(LiveEvent)
    agent.pools.add(standing_pool())
    follower = await site.follow()
    await client.delete(f"/api/v1/pools/{GUID}")
    for event in await follower.until("pool-removed"):
        adapter.validate_python(event.data, strict=False)


async def test_the_lines_of_an_operation_come_before_its_end(site: Site, agent: FakeAgent) -> None:
    async def work(op: Operation) -> None:
        op.accept()
        op.outputs.append("one")
        op.outputs.append("two")

    follower = await site.follow()
    await follower.next()
    agent.operations.start(OperationKind.MOUNT, GUID, "", (), work)
    events = [event.name for event in await follower.until("operation")]
    assert events == ["outputs", "operation"]


async def test_a_client_that_comes_back_gets_what_it_missed(
    site: Site, agent: FakeAgent, hub: LiveEvents
) -> None:
    """Also what happened while nobody listened at all."""
    agent.pools.add(standing_pool())
    follower = await site.follow()
    await follower.next()
    agent.pools.add(replace(standing_pool(), label="seen"))
    assert (await follower.next()).data["label"] == "seen"
    follower.writer.close()
    await until_left(hub)
    agent.pools.add(replace(standing_pool(), label="missed"))
    agent.pools.add(standing_pool(guid=OTHER))
    back = await site.follow(follower.last_id)
    missed = [await back.next(), await back.next()]
    assert [event.name for event in missed] == ["pool", "pool"]
    assert missed[0].data["label"] == "missed"
    again = await site.follow(back.last_id)
    assert await again.next() == Event("", ": resumed")


@pytest.mark.parametrize(
    ("last_id", "reason"),
    [
        ("{instance}:1", "gap"),
        ("{instance}:999", "gap"),
        ("{instance}:" + "9" * 500, "gap"),
        ("{instance}:x", "gap"),
        ("{instance}:-1", "gap"),
        ("11111111-0000-4000-8000-000000000001:1", "restarted"),
        ("nonsense", "restarted"),
    ],
)
async def test_a_client_whose_events_are_gone_gets_a_snapshot(
    agent: FakeAgent, last_id: str, reason: str
) -> None:
    app = create_app(agent)
    app.extensions[EXTENSION] = LiveEvents(agent, ring_bytes=2000)
    async with served(app) as site:
        first = await site.follow()
        await first.next()
        for number in range(8):
            agent.pools.add(replace(standing_pool(), label=str(number)))
            await first.next()
        back = await site.follow(last_id.format(instance=agent.agent_instance))
        event = await back.next()
        assert (event.name, event.data["reason"]) == ("snapshot", reason)
        assert event.data["pools"][0]["label"] == "7"
        assert back.last_id == first.last_id


async def test_nothing_is_made_while_nobody_listens(
    site: Site, agent: FakeAgent, hub: LiveEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    listing = agent.pools.list

    async def counted(**how: object) -> object:
        nonlocal asked
        asked += 1
        return await listing(**how)  # type: ignore[arg-type]

    monkeypatch.setattr(agent.pools, "list", counted)
    agent.pools.add(standing_pool())
    follower = await site.follow()
    await follower.next()
    follower.writer.close()
    await until_left(hub)
    before = asked
    for number in range(20):
        agent.pools.add(replace(standing_pool(), label=str(number)))
        await asyncio.sleep(0.01)
    assert asked == before > 0


async def test_old_clients_and_strangers(site: Site, stranger: Client) -> None:
    old = await site.follow(version="1.0")
    assert "transfer-encoding" not in old.head
    assert (await old.next()).name == "snapshot"
    assert (await site.follow(key="wrong")).status == 401
    assert (await stranger.get("/api/v1/events")).status == 401


async def test_our_own_client_follows_and_comes_back(site: Site, agent: FakeAgent) -> None:
    client = AsyncClient(parse(f"http://localhost:{site.port}"), KEY)
    first = client.events()
    assert (await anext(first)).name == "snapshot"
    agent.pools.add(standing_pool())
    seen = await anext(first)
    assert (seen.name, seen.data["poolGroupGuid"]) == ("pool", GUID)
    agent.pools.add(standing_pool(guid=OTHER))
    missed = await anext(client.events(seen.id))
    assert (missed.name, missed.data["poolGroupGuid"]) == ("pool", OTHER)


async def test_a_revoked_key_keeps_no_stream_open(
    site: Site, agent: FakeAgent, hub: LiveEvents
) -> None:
    _, secret = await agent.keys.create("monitor", Scope.READ)
    theirs, ours = await site.follow(key=secret), await site.follow()
    await agent.keys.revoke("monitor")
    assert await theirs.ended()
    agent.pools.add(standing_pool())
    assert await ours.until("pool")
    assert hub.clients == 1


async def test_a_client_of_the_stream_cannot_ask_for_more(site: Site) -> None:
    follower = await site.follow()
    follower.writer.write(b"GET /api/v1/pools HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert await follower.ended()


async def test_there_is_room_for_requests_beside_the_streams(app: Quart, agent: FakeAgent) -> None:
    async with served(app, Limits(connections=8)) as site:
        followers = [await site.follow() for _ in range(7)]
        assert [follower.status for follower in followers] == [200] * 7
        assert (await site.follow()).status == 503
        followers.pop().writer.close()
        await asyncio.sleep(0.1)
        assert (await site.follow()).status == 200


async def test_a_client_that_does_not_read_is_cut_off(app: Quart, agent: FakeAgent) -> None:
    """And nobody waits for it meanwhile."""
    async with served(app, Limits(stalled_s=30)) as site:
        agent.pools.add(standing_pool())
        slow, quick = await site.follow(), await site.follow()
        await quick.next()
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
        worst = 0.0
        for number in range(400):
            began = time.monotonic()
            label = f"{number:0100000}"
            agent.pools.add(replace(standing_pool(), label=label))
            while (await quick.next()).data["label"] != label:
                pass
            worst = max(worst, time.monotonic() - began)
            if len(site.server._connections) == 1:
                break
        assert len(site.server._connections) == 1
        assert worst < 1


async def test_the_end_of_the_agent_ends_the_streams_at_once(
    app: Quart, agent: FakeAgent, hub: LiveEvents
) -> None:
    async with served(app) as site:
        reading, stuck = await site.follow(), await site.follow()
        stuck.writer.transport.pause_reading()  # type: ignore[attr-defined]
        began = time.monotonic()
        await site.server.close(5)
        assert time.monotonic() - began < 1
        with pytest.raises(EOFError):
            await reading.until("nothing")
        assert not hub.clients


async def test_a_heartbeat_shows_that_the_agent_lives(app: Quart, agent: FakeAgent) -> None:
    class Beats:
        def __init__(self) -> None:
            self.beat_now = asyncio.Event()
            self.periods: list[float] = []

        async def beat(self, period_s: float) -> None:
            self.periods.append(period_s)
            await self.beat_now.wait()
            self.beat_now.clear()

        async def sleep(self, seconds: float) -> None:
            await asyncio.sleep(0)

    beats = Beats()
    agent.clock = beats  # type: ignore[assignment]
    async with served(app) as site:
        follower = await site.follow()
        await follower.next()
        beats.beat_now.set()
        assert await follower.block() == HEARTBEAT
        assert beats.periods == [15, 15]
