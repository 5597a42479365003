"""Creating pools and looking at them: exact fields for every state."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from backy_core.pools.views import ImportablePool, PoolState, PoolView
from tests.http.conftest import Client
from tests.http.fake_agent import FakeAgent
from tests.http.fake_pools import GUID, MOUNT, OPENS_ON, OTHER, member, standing_pool

POOLS = "/api/v1/pools"
STANDING = {
    "state",
    "poolStatus",
    "size",
    "used",
    "available",
    "usePercent",
    "mountPath",
    "drives",
    "poolGroupGuid",
    "label",
    "backend",
    "level",
    "filesystem",
    "poolId",
    "mdDeviceName",
    "createdAt",
    *("portability", "opensOn"),
}
LISTED = {
    "poolGroupGuid",
    "label",
    "state",
    "poolStatus",
    "status",
    "poolId",
    "mdDeviceName",
    "isMounted",
    "mountPath",
    "driveCount",
    "drives",
}


def create_body(**changes: Any) -> dict[str, Any]:
    """A body like the app's: the first five fields."""
    return {
        "label": "backup-1",
        "driveSerials": ["drive-scsi1", "drive-scsi2"],
        "driveLabels": {"drive-scsi1": "backup-1-1"},
        "mountPath": MOUNT,
        "poolGroupGuid": GUID,
        **changes,
    }


@pytest.mark.parametrize("path", [POOLS, POOLS + "/"])
async def test_create_answers_202_with_three_fields(
    client: Client, agent: FakeAgent, path: str
) -> None:
    answer = await client.post(path, create_body())
    assert answer.status == 202
    assert answer.json == {"success": True, "poolGroupGuid": GUID, "state": "creating"}
    assert answer.headers["Location"] == f"/api/v1/pools/{GUID}"
    [operation] = agent.operations.all()
    assert answer.headers["Link"] == f'</api/v1/operations/{operation.id}>; rel="monitor"'


async def test_create_hands_on_what_was_asked(client: Client, agent: FakeAgent) -> None:
    await client.post(POOLS, create_body(wipe=True, backend="mdadm", level="raid1"))
    [request] = agent.pools.requests
    assert request.drive_serials == ("drive-scsi1", "drive-scsi2")
    assert request.drive_labels == {"drive-scsi1": "backup-1-1"}
    assert (request.guid, request.mount_path, request.wipe) == (GUID, MOUNT, True)
    assert (request.backend, request.level, request.filesystem) == ("mdadm", "raid1", None)


async def test_create_makes_up_a_guid_and_wipes_nothing_unasked(
    client: Client, agent: FakeAgent
) -> None:
    body = create_body()
    del body["poolGroupGuid"]
    answer = await client.post(POOLS, body)
    assert answer.json["poolGroupGuid"] == OTHER
    assert agent.pools.requests[0].guid is None
    assert agent.pools.requests[0].wipe is False


@pytest.mark.parametrize("absent", [{}, {"mountPath": None}])
async def test_create_needs_no_mount_path(
    client: Client, agent: FakeAgent, absent: dict[str, None]
) -> None:
    body = create_body()
    del body["mountPath"]
    answer = await client.post(POOLS, body | absent)
    assert answer.json == {"success": True, "poolGroupGuid": GUID, "state": "creating"}
    assert agent.pools.requests[0].mount_path is None


async def test_guids_are_answered_in_lower_case(client: Client) -> None:
    answer = await client.post(POOLS, create_body(poolGroupGuid=GUID.upper()))
    assert answer.json["poolGroupGuid"] == GUID
    assert (await client.get(f"{POOLS}/{GUID.upper()}")).status == 200


async def test_dry_run_shows_the_plan_and_starts_nothing(client: Client, agent: FakeAgent) -> None:
    answer = await client.post(f"{POOLS}?dryRun=true", create_body())
    assert answer.status == 200
    assert answer.json["success"] is True
    first, second = answer.json["plan"]["steps"]
    assert set(first) == set(second) == {"title", "command", "undo", "effect"}
    assert answer.json["plan"]["portability"] == "portable"
    assert answer.json["plan"]["opensOn"] == OPENS_ON.model_dump(mode="json")
    native = create_body() | {"portability": "native"}
    answer = await client.post(f"{POOLS}?dryRun=true", native)
    assert answer.json["plan"]["portability"] == "native"
    assert answer.json["plan"]["opensOn"] is None
    assert agent.operations.all() == ()
    assert (await client.post(f"{POOLS}?dryRun=false", create_body())).status == 202


@pytest.mark.parametrize("value", ["yes", "Portable", "", True, None])
async def test_a_mistyped_portability_creates_nothing(
    client: Client, agent: FakeAgent, value: object
) -> None:
    answer = await client.post(POOLS, create_body() | {"portability": value})
    assert answer.status == 400 and "portability must be" in answer.error["message"]
    assert agent.pools.requests == []


@pytest.mark.parametrize("value", ["yes", "1", "True", ""])
async def test_a_mistyped_dry_run_creates_nothing(
    client: Client, agent: FakeAgent, value: str
) -> None:
    answer = await client.post(f"{POOLS}?dryRun={value}", create_body())
    assert answer.status == 400
    assert answer.error["message"] == "dryRun must be true or false"
    assert agent.pools.requests == []


async def test_a_pool_being_created(client: Client, agent: FakeAgent) -> None:
    agent.pools.gate.clear()
    await client.post(POOLS, create_body())
    answer = await client.get(f"{POOLS}/{GUID}")
    assert answer.status == 200
    assert answer.json == {"state": "creating", "poolStatus": None, "drives": []}
    [item] = (await client.get(POOLS)).json
    assert set(item) == LISTED
    assert item["driveCount"] == 2
    assert [drive["serial"] for drive in item["drives"]] == ["drive-scsi1", "drive-scsi2"]
    agent.pools.gate.set()


async def test_a_failed_creation_is_200(client: Client, agent: FakeAgent) -> None:
    message = "Failed to create RAID array"
    agent.pools.add(PoolView(GUID, "x", PoolState.FAILED, error_message=message))
    answer = await client.get(f"{POOLS}/{GUID}")
    assert answer.status == 200
    assert answer.json == {"state": "failed", "errorMessage": message}


async def test_a_ready_pool(client: Client, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    pool = (await client.get(f"{POOLS}/{GUID}/")).json
    assert set(pool) == STANDING
    assert pool["size"] == 1000204851200
    assert pool["usePercent"] == "5%"
    assert pool["poolId"] == pool["mdDeviceName"] == "md127"
    assert pool["createdAt"] == "2026-01-02T03:04:05Z"
    assert pool["drives"][0] == {
        "serial": "drive-scsi1",
        "label": "label-drive-scsi1",
        "status": "active",
        "state": "active",
    }


async def test_a_resync_is_shown_only_while_it_runs(client: Client, agent: FakeAgent) -> None:
    agent.pools.add(
        replace(standing_pool(), pool_status="resync", sync_percent=12.5, sync_minutes=3.25)
    )
    pool = (await client.get(f"{POOLS}/{GUID}")).json
    assert set(pool) == STANDING | {"resyncPercentage", "resyncTimeEstimate"}
    assert (pool["resyncPercentage"], pool["resyncTimeEstimate"]) == (12.5, 3.25)
    assert pool["poolStatus"] == "resync"


async def test_a_pool_seen_earlier_says_so(client: Client, agent: FakeAgent) -> None:
    because = "Backend mdadm cannot inspect its pools: it did not answer"
    agent.pools.add(replace(standing_pool(), stale_because=because))
    for pool in ((await client.get(f"{POOLS}/{GUID}")).json, (await client.get(POOLS)).json[0]):
        assert pool["staleBecause"] == because


@pytest.mark.parametrize("state", [PoolState.UNMOUNTED, PoolState.ERROR])
async def test_a_pool_that_is_not_mounted_has_no_sizes(
    client: Client, agent: FakeAgent, state: PoolState
) -> None:
    reason = "Two drives are missing" if state is PoolState.ERROR else None
    agent.pools.add(replace(standing_pool(state), error_message=reason))
    pool = (await client.get(f"{POOLS}/{GUID}")).json
    extra = {"errorMessage"} if reason else set()
    assert set(pool) == STANDING | extra
    assert (pool["size"], pool["used"], pool["available"]) == (0, 0, 0)
    assert pool["usePercent"] == "0%"
    assert pool["mountPath"] == MOUNT
    assert pool["poolId"] is None
    assert pool.get("errorMessage") == reason


async def test_a_deleted_pool(client: Client, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool(PoolState.DELETED))
    answer = await client.get(f"{POOLS}/{GUID}")
    assert answer.json == {"state": "deleted", "poolStatus": None, "drives": []}


async def test_the_list_is_a_bare_array(client: Client, agent: FakeAgent) -> None:
    assert (await client.get(POOLS)).json == []
    agent.pools.add(standing_pool())
    [item] = (await client.get(POOLS + "/")).json
    assert set(item) == LISTED | STANDING
    assert item["status"] == item["poolStatus"] == "active"
    assert item["isMounted"] is True
    assert item["driveCount"] == 2
    assert item["drives"][0]["isConnected"] is True
    assert set(item["drives"][0]) == {"serial", "label", "isConnected", "status", "state"}


async def test_failed_and_deleted_pools_are_listed_by_state_only(
    client: Client, agent: FakeAgent
) -> None:
    failed = PoolView(GUID, "x", PoolState.FAILED, error_message="no", drives=(member("a"),))
    agent.pools.add(failed)
    agent.pools.add(standing_pool(PoolState.DELETED, OTHER))
    assert (await client.get(POOLS)).json == []
    [item] = (await client.get(f"{POOLS}?state=failed")).json
    assert set(item) == LISTED | {"errorMessage"}
    [item] = (await client.get(f"{POOLS}?state=deleted")).json
    assert set(item) == LISTED


async def test_the_list_is_filtered_by_backend(client: Client, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    assert len((await client.get(f"{POOLS}?backend=mdadm")).json) == 1
    assert (await client.get(f"{POOLS}?backend=lvm")).json == []


async def test_an_unknown_state_is_refused(client: Client) -> None:
    answer = await client.get(f"{POOLS}?state=Creating")
    assert answer.status == 400
    assert answer.error["message"].startswith("state must be one of creating, ready")


async def test_outputs(client: Client, agent: FakeAgent) -> None:
    agent.pools.lines[GUID] = ["$ mdadm --create", "mdadm: started", "$ mkfs.ext4"]
    whole = await client.get(f"{POOLS}/{GUID}/outputs")
    assert whole.json == {"success": True, "outputs": agent.pools.lines[GUID]}
    rest = await client.get(f"{POOLS}/{GUID}/outputs?offset=2")
    assert rest.json == {"success": True, "outputs": ["$ mkfs.ext4"], "nextOffset": 3}
    first = await client.get(f"{POOLS}/{GUID}/outputs?offset=0")
    assert first.json["nextOffset"] == 3


@pytest.mark.parametrize("offset", ["-1", "1.5", "x", "", "1_0", "%201", "9" * 40, "%D9%A3"])
async def test_a_bad_offset_is_refused(client: Client, offset: str) -> None:
    answer = await client.get(f"{POOLS}/{GUID}/outputs?offset={offset}")
    assert answer.status == 400
    assert answer.error["message"] == "offset must be a whole number, 0 or more"


async def test_unknown_pools_are_404(client: Client) -> None:
    for path in (f"{POOLS}/{OTHER}", f"{POOLS}/{OTHER}/outputs", f"{POOLS}/{OTHER}/processes"):
        answer = await client.get(path)
        assert (answer.status, answer.error["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("guid", ["x", GUID[:-1], GUID.replace("-", ""), f"{{{GUID}}}", "md127"])
async def test_bad_guids_are_400(client: Client, guid: str) -> None:
    for method, suffix in (("GET", ""), ("DELETE", ""), ("POST", "/mount"), ("GET", "/outputs")):
        answer = await client(method, f"{POOLS}/{guid}{suffix}")
        assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
        assert "is not a GUID" in answer.error["message"]


async def test_importable_pools(client: Client, agent: FakeAgent) -> None:
    assert (await client.get(f"{POOLS}/importable")).json == []
    found = ImportablePool(
        GUID, "mdadm", "native", None, "raid1", None, ("a", "b"), OPENS_ON, "It is too new."
    )
    agent.pools.found = (found,)
    assert (await client.get(f"{POOLS}/importable/")).json == [
        {
            "poolGroupGuid": GUID,
            "backend": "mdadm",
            "nativeId": "native",
            "label": None,
            "level": "raid1",
            "filesystem": None,
            "drives": ["a", "b"],
            "opensOn": OPENS_ON.model_dump(mode="json"),
            "cannotOpenBecause": "It is too new.",
        }
    ]
