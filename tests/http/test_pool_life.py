"""Mounting, unmounting, changing and ending pools."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from backy_core.pools.views import ImportablePool, PoolState
from tests.http.conftest import Answer, Client
from tests.http.fake_agent import FakeAgent
from tests.http.fake_pools import GUID, MOUNT, OPENS_ON, OTHER, member, standing_pool

POOL = f"/api/v1/pools/{GUID}"


@pytest.mark.parametrize("options", [{}, {"json": {}}, {"json": {"mountPath": None}}])
async def test_mount_at_the_last_path(
    client: Client, agent: FakeAgent, options: dict[str, Any]
) -> None:
    agent.pools.add(standing_pool(PoolState.UNMOUNTED))
    answer = await client.post(f"{POOL}/mount", **options)
    assert answer.status == 200
    assert answer.json == {
        "success": True,
        "state": "ready",
        "mountPath": MOUNT,
        "commandOutputs": [f"$ mount {MOUNT}"],
    }


async def test_mount_elsewhere(client: Client, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool(PoolState.UNMOUNTED))
    answer = await client.post(f"{POOL}/mount", {"mountPath": "/mnt/new"})
    assert answer.json["mountPath"] == "/mnt/new"
    answer = await client.post(f"{POOL}/mount", {"mountPath": "/mnt/third"})
    assert (answer.status, answer.error["code"]) == (409, "CONFLICT")


async def test_mount_by_force(client: Client, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    assert (await client.post(f"{POOL}/mount", {"force": True, "label": "backup-1"})).status == 200
    assert (await client.post(f"{POOL}/mount")).status == 200
    assert agent.pools.forced == [(True, "backup-1"), (False, None)]


async def test_dry_run_of_a_mount(client: Client, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    answer = await client.post(f"{POOL}/mount?dryRun=true", {"force": True})
    assert answer.json == {
        "success": True,
        "plan": {
            "steps": [
                {"title": "Mount it", "command": f"mount {MOUNT}", "undo": None, "effect": "none"}
            ]
        },
        "members": [
            {"serial": "drive-scsi1", "state": "active", "behind": None},
            {"serial": "drive-scsi2", "state": "stale", "behind": "3 events behind (4 of 7)"},
        ],
        "mayBeLost": "Some may be lost.",
    }
    answer = await client.post(f"{POOL}/mount?dryRun=true")
    assert "mayBeLost" not in answer.json
    assert agent.pools.finished == []


@pytest.mark.parametrize(
    ("method", "url", "body", "title"),
    [
        ("DELETE", f"{POOL}/mount", None, "Unmount it"),
        ("DELETE", POOL, None, "Wipe it"),
        ("POST", f"{POOL}/drives/add", {"serial": "S3"}, "Add S3"),
    ],
)
async def test_dry_runs_of_other_changes(
    client: Client, agent: FakeAgent, method: str, url: str, body: Any, title: str
) -> None:
    agent.pools.add(standing_pool())
    answer = await client(method, f"{url}?dryRun=true", **({"json": body} if body else {}))
    assert set(answer.json) == {"success", "plan"}
    assert [step["title"] for step in answer.json["plan"]["steps"]] == [title]
    assert agent.pools.finished == [] and agent.pools.added == []


async def test_adding_a_drive_can_be_watched(client: Client, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    body, headers = {"serial": "S3"}, {"Prefer": "respond-async"}
    answer = await client.post(f"{POOL}/drives/add", json=body, headers=headers)
    assert (answer.status, answer.json["operation"]["kind"]) == (202, "add")


async def test_unmount(client: Client, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    answer = await client.delete(f"{POOL}/mount")
    assert answer.status == 200
    assert answer.json == {
        "success": True,
        "busy": False,
        "state": "unmounted",
        "commandOutputs": [f"$ umount {MOUNT}"],
    }


async def test_delete(client: Client, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    answer = await client.delete(POOL)
    assert answer.json == {
        "success": True,
        "busy": False,
        "state": "deleted",
        "commandOutputs": [f"$ umount {MOUNT}"],
    }


async def test_delete_names_absent_drives(client: Client, agent: FakeAgent) -> None:
    agent.pools.add(replace(standing_pool(), drives=(member("gone", "disconnected"),)))
    assert "gone" in (await client.delete(POOL)).json["message"]


@pytest.mark.parametrize("path", [POOL, f"{POOL}/mount"])
async def test_a_busy_pool(client: Client, agent: FakeAgent, path: str) -> None:
    agent.pools.add(standing_pool())
    agent.pools.busy.add(GUID)
    answer = await client.delete(path)
    assert answer.status == 409
    assert answer.json["busy"] is True
    assert answer.error["code"] == "POOL_BUSY"
    assert "target is busy" in answer.error["message"]
    assert answer.error["details"] == "tail (pid 4242)"


async def test_only_a_busy_pool_is_called_busy(client: Client) -> None:
    assert "busy" not in (await client.delete(POOL)).json


@pytest.mark.parametrize(
    ("method", "path"), [("POST", f"{POOL}/mount"), ("DELETE", f"{POOL}/mount"), ("DELETE", POOL)]
)
@pytest.mark.parametrize("prefer", ["respond-async", "wait=5, Respond-Async;x=1"])
async def test_prefer_respond_async(
    client: Client, agent: FakeAgent, method: str, path: str, prefer: str
) -> None:
    agent.pools.add(standing_pool())
    agent.pools.gate.clear()
    answer = await client(method, path, headers={"Prefer": prefer})
    assert answer.status == 202
    assert set(answer.json) == {"success", "operation"}
    assert answer.json["operation"]["state"] == "running"
    where = f"/api/v1/operations/{answer.json['operation']['id']}"
    assert answer.headers["Location"] == where
    assert answer.headers["Link"] == f'<{where}>; rel="monitor"'
    assert answer.headers["Preference-Applied"] == "respond-async"
    agent.pools.gate.set()
    [operation] = agent.operations.all()
    await operation.wait()
    assert (await client.get(where)).json["state"] == "succeeded"


async def test_other_preferences_are_ignored(client: Client, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    answer = await client.delete(f"{POOL}/mount", headers={"Prefer": "return=minimal"})
    assert answer.status == 200


async def test_a_repeat_joins_and_a_different_call_is_refused(
    client: Client, agent: FakeAgent
) -> None:
    agent.pools.add(standing_pool())
    agent.pools.gate.clear()
    first = asyncio.create_task(client.delete(f"{POOL}/mount"))
    second = asyncio.create_task(client.delete(f"{POOL}/mount"))
    await _until_running(agent)
    other: Answer = await client.delete(POOL)
    assert (other.status, other.error["code"]) == (409, "CONFLICT")
    assert "Wait for operation" in other.error["details"]
    agent.pools.gate.set()
    assert (await first).json == (await second).json
    assert agent.pools.finished == ["unmount"]


async def _until_running(agent: FakeAgent) -> None:
    async with asyncio.timeout(5):
        while not agent.operations.all():
            await asyncio.sleep(0.01)


async def test_rename(client: Client, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    body = {"label": "new", "driveLabels": {"drive-scsi1": "left"}}
    answer = await client.patch(POOL, body)
    assert answer.json == {
        "success": True,
        "poolGroupGuid": GUID,
        "label": "new",
        "driveLabels": {"drive-scsi1": "left", "drive-scsi2": "label-drive-scsi2"},
    }
    assert (await client.patch(POOL, {})).json["label"] == "new"


async def test_add_a_drive_as_the_app_does(client: Client, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    path = "/dev/disk/by-id/scsi-0QEMU_drive-scsi3"
    answer = await client.post(f"{POOL}/drives/add", {"driveId": 7, "devPath": path})
    assert answer.json == {"success": True, "commandOutputs": ["$ add"]}
    await client.post(f"{POOL}/drives/add", {"serial": "c", "replaces": "a", "wipe": True})
    assert agent.pools.added == [(None, path, None, False), ("c", None, "a", True)]


@pytest.mark.parametrize("wipe", ["yes", 1, None, "true"])
async def test_a_mistyped_wipe_adds_nothing(client: Client, agent: FakeAgent, wipe: Any) -> None:
    agent.pools.add(standing_pool())
    answer = await client.post(f"{POOL}/drives/add", {"serial": "c", "wipe": wipe})
    assert answer.error["message"] == "wipe must be true or false"
    assert agent.pools.added == []


async def test_import(client: Client, agent: FakeAgent) -> None:
    found = ImportablePool(GUID, "mdadm", GUID, None, "raid1", "ext4", ("a",), OPENS_ON, None)
    agent.pools.found = (found,)
    answer = await client.post(f"{POOL}/import", {"label": "mine", "mountPath": "/mnt/a"})
    assert answer.json == {
        "success": True,
        "poolGroupGuid": GUID,
        "label": "mine",
        "state": "unmounted",
        "mountPath": "/mnt/a",
    }
    assert (await client.post(f"{POOL}/import")).status == 200
    assert (await client.post(f"/api/v1/pools/{OTHER}/import")).status == 404


async def test_metadata_calls(client: Client, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    for method in ("PUT", "POST"):
        answer = await client(method, "/api/v1/pools/metadata/validate")
        assert answer.json == {
            "success": True,
            "message": "2 entries corrected",
            "fixedEntries": 2,
        }
    answer = await client.delete(f"/api/v1/pools/metadata/{GUID}")
    assert answer.json["success"] is True
    assert GUID in answer.json["message"]
    assert (await client.delete(f"/api/v1/pools/metadata/{GUID}")).status == 404
    agent.pools.add(standing_pool())
    answer = await client.delete("/api/v1/pools/metadata/")
    assert answer.json == {
        "success": True,
        "message": "1 pool is forgotten; the drives are untouched",
    }


async def test_kill(client: Client, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    for action in ("UnmountPool", "unmountpool", "REMOVEPOOLGROUP", None):
        body = {"poolGroupGuid": GUID, "pids": [11, 12], "action": action}
        answer = await client.post("/api/v1/processes/kill", body)
        assert answer.json == {"success": True, "commandOutputs": ["$ kill"]}
    actions = [action for _, action in agent.pools.killed]
    assert actions == ["UnmountPool", "UnmountPool", "RemovePoolGroup", None]
    assert agent.pools.killed[0][0] == (11, 12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"action": "Explode"}, "action must be one of UnmountPool, RemovePoolGroup"),
        ({"pids": [0]}, "pids[0] must be at least 1"),
        ({"pids": [-1]}, "pids[0] must be at least 1"),
        ({"pids": ["11"]}, "pids[0] must be a whole number"),
        ({"pids": [True]}, "pids[0] must be a whole number"),
        ({"pids": [1.0]}, "pids[0] must be a whole number"),
        ({"pids": 11}, "pids must be a list"),
        ({"pids": None}, "pids must be a list"),
        ({"poolGroupGuid": "x"}, "poolGroupGuid must be a dashed GUID of 36 characters"),
        ({"force": True}, "Unknown field force"),
    ],
)
async def test_kill_refuses_what_it_does_not_understand(
    client: Client, agent: FakeAgent, changes: dict[str, Any], message: str
) -> None:
    agent.pools.add(standing_pool())
    body = {"poolGroupGuid": GUID, "pids": [11], **changes}
    answer = await client.post("/api/v1/processes/kill", body)
    assert (answer.status, answer.error["message"]) == (400, message)
    assert agent.pools.killed == []


async def test_a_delete_passes_on_what_was_named(client: Client, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    copies = "wipeCopies=A&wipeCopies=B&destroyOthers=vg%2Fprecious"
    assert (await client.delete(f"{POOL}?{copies}")).status == 200
    assert agent.pools.consents == [(("A", "B"), ("vg/precious",))]
    for wrong in ("wipeCopies=", "wipecopies=A"):
        assert (await client.delete(f"{POOL}?{wrong}")).status == 400
