"""Operations, backends and the agent itself."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from backy_core import __version__
from tests.http.conftest import Client
from tests.http.fake_agent import FakeAgent
from tests.http.fake_pools import GUID, standing_pool
from tests.http.test_pools import create_body

OPERATIONS = "/api/v1/operations"
FIELDS = {
    "id",
    "kind",
    "poolGroupGuid",
    "state",
    "progress",
    "startedAt",
    "finishedAt",
    "errorMessage",
    "agentInstance",
}


async def test_a_running_operation(client: Client, agent: FakeAgent) -> None:
    assert (await client.get(OPERATIONS)).json == []
    agent.pools.gate.clear()
    await client.post("/api/v1/pools", create_body())
    [listed] = (await client.get(OPERATIONS + "/")).json
    shown = (await client.get(f"{OPERATIONS}/{listed['id']}")).json
    assert shown == listed
    assert set(shown) == FIELDS
    assert (shown["kind"], shown["poolGroupGuid"], shown["state"]) == ("create", GUID, "running")
    assert shown["progress"] == {
        "step": 1,
        "steps": 6,
        "title": "Creating the array",
        "percent": 0,
    }
    assert shown["finishedAt"] is None
    assert shown["errorMessage"] is None
    assert shown["agentInstance"] == agent.agent_instance
    assert shown["startedAt"].endswith("Z")
    refused = await client.delete(f"{OPERATIONS}/{listed['id']}")
    assert (refused.status, refused.error["code"]) == (409, "CONFLICT")


async def test_cancel_reports_how_it_ended(client: Client, agent: FakeAgent) -> None:
    agent.pools.gate.clear()
    await client.post("/api/v1/pools", create_body())
    [operation] = agent.operations.all()
    answer = await client.post(f"{OPERATIONS}/{operation.id}/cancel")
    assert answer.status == 200
    assert answer.json["success"] is True
    assert answer.json["operation"]["state"] == "cancelled"
    assert answer.json["operation"]["errorMessage"] == "The operation was cancelled"
    assert (await client.post(f"{OPERATIONS}/{operation.id}/cancel")).status == 200
    assert (await client.delete(f"{OPERATIONS}/{operation.id}")).json["success"] is True
    assert (await client.get(f"{OPERATIONS}/{operation.id}")).status == 404


async def test_cancel_without_waiting(client: Client, agent: FakeAgent) -> None:
    agent.pools.gate.clear()
    await client.post("/api/v1/pools", create_body())
    [operation] = agent.operations.all()
    prefer = {"Prefer": "respond-async"}
    answer = await client.post(f"{OPERATIONS}/{operation.id}/cancel", headers=prefer)
    assert (answer.status, answer.json["operation"]["state"]) == (202, "running")
    await operation.ended()


async def test_unknown_operations(client: Client) -> None:
    for method, suffix in (("GET", ""), ("POST", "/cancel"), ("DELETE", "")):
        answer = await client(method, f"{OPERATIONS}/nope{suffix}")
        assert (answer.status, answer.error["code"]) == (404, "NOT_FOUND")


async def test_an_agent_that_stops_takes_no_new_work(client: Client, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    await agent.operations.shutdown(0.1)
    answer = await client.delete(f"/api/v1/pools/{GUID}/mount")
    assert (answer.status, answer.error["code"]) == (503, "SHUTTING_DOWN")
    assert (await client.get(f"/api/v1/pools/{GUID}")).status == 200


async def test_backends(client: Client) -> None:
    answer = await client.get("/api/v1/backends")
    assert answer.json == {
        "backends": [
            {
                "name": "mdadm",
                "default": True,
                "version": "1.0.0",
                "levels": [
                    {"name": "raid1", "minDrives": 1, "maxDrives": 2, "parity": 0, "copies": None},
                    {"name": "raid5", "minDrives": 3, "maxDrives": None, "parity": 1, "copies": 1},
                ],
                "filesystems": ["ext4", "xfs"],
                "capabilities": ["add_drive", "import"],
                "toolsInstalled": False,
                "missingTools": [{"name": "mdadm", "package": "mdadm"}],
                "tools": [{"name": "mdadm", "package": "mdadm", "installed": False}],
                "origin": "backy-mdadm 1.0.0",
                "problem": "it did not answer within 30 s",
            }
        ],
        "failedPlugins": [
            {
                "name": "zfs",
                "reason": "The module cannot be imported: No module named 'libzfs'",
                "origin": "backy-zfs 1.0.0",
            }
        ],
    }


async def test_status_and_health(stranger: Client) -> None:
    status = (await stranger.get("/api/v1/status")).json
    assert (status["status"], status["version"]) == ("Running", __version__)
    then = datetime.fromisoformat(status["timestamp"])
    assert abs(datetime.now(UTC) - then) < timedelta(minutes=1)
    assert (await stranger.get("/health")).json == {"status": "ok"}
    assert (await stranger("HEAD", "/health")).status == 200


async def test_reads_do_not_wait_for_work(client: Client, agent: FakeAgent) -> None:
    agent.pools.gate.clear()
    await client.post("/api/v1/pools", create_body())
    async with asyncio.timeout(2):
        assert (await client.get(f"/api/v1/pools/{GUID}")).json["state"] == "creating"
        assert len((await client.get("/api/v1/pools")).json) == 1
