"""Each changing call leaves one line, which says who, what and how it ended, and no secret."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from quart import Quart

from backy_core.store.audit import AuditLog
from backy_core.store.keys import Scope
from tests.core.store.test_audit import SlowDirectory
from tests.http.conftest import Client
from tests.http.fake_agent import FakeAgent
from tests.http.fake_pools import GUID, PROCESS, standing_pool
from tests.http.test_scopes import routes
from tests.http.test_server import Server, server

__all__ = ["server"]  # a fixture
POOL = f"/api/v1/pools/{GUID}"


async def lines(agent: FakeAgent) -> list[dict[str, Any]]:
    await agent.audit.settle()
    text = agent.audit_file.read_text() if agent.audit_file.exists() else ""
    return [json.loads(line) for line in text.splitlines()]


async def test_every_changing_call_and_no_other(
    app: Quart, client: Client, agent: FakeAgent
) -> None:
    for method, path in routes(app):
        before = len(await lines(agent))
        url = path.replace("{guid}", GUID)
        answer = await client(method, url)
        written = (await lines(agent))[before:]
        signs_in = (method, path) == ("POST", "/api/v1/session")  # here without a key
        assert len(written) == (method != "GET" and not signs_in), (method, path)
        for line in written:
            assert (line["event"], line["key"], line["method"]) == ("call", "api-key", method)
            assert line.get("code") == (answer.error["code"] if answer.status >= 400 else None)


async def test_who_what_and_which_operation(client: Client, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    body = {"label": "b", "driveSerials": ["drive-scsi1"], "mountPath": "/mnt/x"}
    created = await client.post("/api/v1/pools", body)
    unmounted = await client.delete(f"{POOL}/mount")
    assert (created.status, unmounted.status) == (202, 200)
    creation, unmount = await lines(agent)
    assert creation["body"] == body and creation["outcome"] == "accepted"
    assert creation["operation"] in created.headers["Link"]
    assert (unmount["path"], unmount["outcome"]) == (f"{POOL}/mount", "done")
    assert agent.operations.get(unmount["operation"]).guid == GUID


async def test_a_failed_operation_is_named(client: Client, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    agent.pools.busy.add(GUID)
    body = {"poolGroupGuid": GUID, "pids": [PROCESS.pid], "action": "UnmountPool"}
    answer = await client.delete(f"{POOL}/mount")
    (line,) = await lines(agent)
    assert (line["code"], line["outcome"]) == ("POOL_BUSY", "refused") and answer.status == 409
    assert agent.operations.get(line["operation"]).guid == GUID
    await client.post("/api/v1/processes/kill", body)
    assert (await lines(agent))[-1]["body"] == body


async def test_a_call_beyond_the_scope_is_noted(app: Quart, agent: FakeAgent) -> None:
    _, secret = await agent.keys.create("monitoring", Scope.READ)
    await Client(app, secret).delete(POOL + "?wipe=true")
    (line,) = await lines(agent)
    assert (line["key"], line["code"]) == ("monitoring", "INSUFFICIENT_SCOPE")
    assert (line["path"], line["outcome"]) == (POOL + "?wipe=true", "refused")


async def test_strangers_cannot_fill_it(app: Quart, stranger: Client, agent: FakeAgent) -> None:
    await stranger.delete(POOL)
    await Client(app, "wrong").delete(POOL)
    assert await lines(agent) == []


async def test_no_secret_is_in_it(app: Quart, client: Client, agent: FakeAgent) -> None:
    made = await client.post("/api/v1/keys", {"name": "app", "scope": "admin"})
    secrets = [made.json["secret"]]
    secrets.append((await client.post("/api/v1/keys/app/rotate")).json["secret"])
    await Client(app, secrets[-1]).delete(POOL)
    assert [line["key"] for line in await lines(agent)] == ["api-key", "api-key", "app"]
    assert not any(secret in agent.audit_file.read_text() for secret in secrets)


@pytest.mark.parametrize(("length", "shown"), [(10, {"label": "x" * 10}), (5000, "too long")])
async def test_a_large_body_is_left_out(
    client: Client, agent: FakeAgent, length: int, shown: object
) -> None:
    await client.patch(POOL, {"label": "x" * length})
    (line,) = await lines(agent)
    assert line["body"] == shown


async def test_a_client_that_leaves_is_noted_with_its_end(server: Server, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    agent.pools.gate.clear()
    await server.send_and_leave("DELETE", f"{POOL}/mount", lambda: bool(agent.operations.all()))
    assert await lines(agent) == []
    agent.pools.gate.set()
    async with asyncio.timeout(5):
        while not (written := await lines(agent)):
            await asyncio.sleep(0.01)
    assert [(line["client"], line["outcome"]) for line in written] == [("disconnected", "done")]
    assert agent.operations.get(written[0]["operation"]).guid == GUID


async def test_a_log_that_cannot_be_written_stops_nothing(client: Client, agent: FakeAgent) -> None:
    agent.audit_file.mkdir()
    agent.pools.add(standing_pool())
    assert (await client.delete(f"{POOL}/mount")).status == 200
    await agent.audit.settle()
    assert agent.audit.problem is not None


async def test_a_reply_waits_for_its_line_but_not_for_long(
    client: Client, agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.delete(f"{POOL}/mount")
    assert len(agent.audit_file.read_text().splitlines()) == 1

    directory = SlowDirectory(agent.audit_file.parent)
    agent.audit = AuditLog(directory.file("audit.log"), agent.clock)
    monkeypatch.setattr("backy_core.api.audit._PATIENCE_S", 0.05)
    async with asyncio.timeout(5):
        await client.delete(f"{POOL}/mount")
    directory.disk.set()
    assert len(await lines(agent)) == 2
