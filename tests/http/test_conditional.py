"""Replies have a tag, and a client that sends it back gets 304 until they change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from quart import Quart

from backy_core.api.routing import is_tagged
from backy_core.operations.kinds import OperationKind
from backy_core.operations.records import Operation
from tests.http.conftest import Client
from tests.http.fake_agent import FakeAgent
from tests.http.fake_drives import available_drive
from tests.http.fake_pools import GUID, OTHER, standing_pool


@pytest.fixture
async def operation(agent: FakeAgent) -> Operation:
    async def body(op: Operation) -> None:
        op.accept()
        await agent.pools.gate.wait()

    agent.pools.gate.clear()
    started = agent.operations.start(OperationKind.MOUNT, OTHER, "", (), body)
    await started.accepted()
    return started


@pytest.fixture
def paths(operation: Operation) -> tuple[str, ...]:
    pool, running = f"/api/v1/pools/{GUID}", f"/api/v1/operations/{operation.id}"
    lists = ("/api/v1/pools", "/api/v1/drives", "/api/v1/operations", "/api/v1/backends")
    return (*lists, pool, running)


async def test_a_client_that_has_the_reply_gets_304(
    client: Client, agent: FakeAgent, paths: tuple[str, ...]
) -> None:
    agent.pools.add(standing_pool())
    for path in paths:
        first = await client.get(path)
        tag = first.headers["ETag"]
        for sent in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            again = await client.get(path, headers={"If-None-Match": sent})
            assert (again.status, again.text, again.headers["ETag"]) == (304, "", tag)
        for sent in ('"other"', "malformed", ""):
            again = await client.get(path, headers={"If-None-Match": sent})
            assert (again.status, again.text) == (200, first.text)


async def test_a_change_brings_another_tag(
    client: Client, agent: FakeAgent, operation: Operation
) -> None:
    pool = agent.pools.add(standing_pool())
    running = f"/api/v1/operations/{operation.id}"
    changing = ("/api/v1/pools", f"/api/v1/pools/{GUID}", "/api/v1/drives", running)
    tags = {path: (await client.get(path)).headers["ETag"] for path in changing}
    agent.pools.add(replace(pool, label="renamed"))
    agent.drives_service.listings.append(available_drive("new"))
    agent.pools.gate.set()
    await operation.ended()
    for path, tag in tags.items():
        answer = await client.get(path, headers={"If-None-Match": tag})
        assert answer.status == 200 and answer.headers["ETag"] != tag, path


async def test_a_stranger_learns_nothing_from_a_tag(
    client: Client, stranger: Client, agent: FakeAgent
) -> None:
    agent.pools.add(standing_pool())
    tag = (await client.get("/api/v1/pools")).headers["ETag"]
    assert (await stranger.get("/api/v1/pools", headers={"If-None-Match": tag})).status == 401


async def test_the_document_says_which_replies_bear_a_tag(
    client: Client, agent: FakeAgent, app: Quart, paths: tuple[str, ...]
) -> None:
    agent.pools.add(standing_pool())
    document: Any = (await client.get("/openapi.json")).json
    tagged = {
        path
        for path, methods in document["paths"].items()
        for operation in methods.values()
        if "304" in operation["responses"]
    }
    assert len(tagged) == len(paths) == sum(map(is_tagged, app.view_functions.values()))
    for path in tagged:
        operation = document["paths"][path]["get"]
        assert "ETag" in operation["responses"]["200"]["headers"]
        assert "If-None-Match" in {one["name"] for one in operation["parameters"]}
