"""Mount paths inside URLs, in every form clients write them."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import pytest

from backy_core.api.routing import fold_mount_path
from tests.http.conftest import Client
from tests.http.fake_agent import FakeAgent
from tests.http.fake_pools import GUID, standing_pool

MOUNTS = "/api/v1/mounts"
FORMS = [
    f"%2Fmnt%2Fbacky%2F{GUID}",
    f"mnt%2Fbacky%2F{GUID}",
    f"%2fmnt%2fbacky%2f{GUID}",
    f"mnt/backy/{GUID}",
    f"/mnt/backy/{GUID}",
    f"%2Fmnt/backy%2F{GUID}",
]
PROCESS = {
    "pid": 4242,
    "command": "tail -f /mnt/x/log",
    "user": "root",
    "path": "/mnt/x/log",
    "name": "tail",
}
PROOF = {
    "processes": [PROCESS],
    "poolGroupGuid": GUID,
    "label": "backup-1",
    "mountPath": f"/mnt/backy/{GUID}",
    "source": "/dev/md127",
    "filesystem": "ext4",
    "readOnly": False,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("slash", ["", "/"])
async def test_processes_and_size(client: Client, agent: FakeAgent, form: str, slash: str) -> None:
    agent.pools.add(standing_pool())
    agent.pools.busy.add(GUID)
    answer = await client.get(f"{MOUNTS}/{form}{slash}")
    assert (answer.status, answer.json) == (200, PROOF)
    answer = await client.get(f"{MOUNTS}/{form}/processes{slash}")
    assert (answer.status, answer.json) == (200, {"processes": [PROCESS]})
    answer = await client.get(f"{MOUNTS}/{form}/size{slash}")
    assert answer.json == {"size": 1000, "used": 400, "available": 500, "usePercent": "45%"}


@pytest.mark.parametrize("path", ["/mnt/size", "/mnt/a b", "/mnt/ü", "/mnt/100%", "/mnt/%2F", "/a"])
async def test_unusual_mount_paths(client: Client, agent: FakeAgent, path: str) -> None:
    agent.pools.add(replace(standing_pool(), mount_path=path))
    encoded = quote(path, safe="")
    assert "processes" in (await client.get(f"{MOUNTS}/{encoded}")).json
    assert "size" in (await client.get(f"{MOUNTS}/{encoded}/size")).json


@pytest.mark.parametrize("form", ["%2Fetc", "mnt", "", "%2F", "%00", "..%2F..%2Fetc", "%FF"])
async def test_only_mounts_of_pools(client: Client, agent: FakeAgent, form: str) -> None:
    agent.pools.add(standing_pool())
    for suffix in ("", "/processes", "/size"):
        answer = await client.get(f"{MOUNTS}/{form}{suffix}")
        assert (answer.status, answer.error["code"]) == (404, "NOT_FOUND")


async def test_processes_of_a_pool(client: Client, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    path = f"/api/v1/pools/{GUID}/processes"
    assert (await client.get(path)).json == {"processes": []}
    agent.pools.busy.add(GUID)
    assert (await client.get(path)).json == {"processes": [PROCESS]}


@pytest.mark.parametrize(
    ("raw", "folded"),
    [
        (b"%2Fmnt%2Fa", "%2Fmnt%2Fa"),
        (b"mnt/a", "%2Fmnt%2Fa"),
        (b"mnt/a/size", "%2Fmnt%2Fa/size"),
        (b"%2Fmnt%2Fsize", "%2Fmnt%2Fsize"),
        (b"%2Fmnt%2Fsize/size/", "%2Fmnt%2Fsize/size"),
        (b"size", "%2Fsize"),
        (b"", "%2F"),
    ],
)
def test_folding(raw: bytes, folded: str) -> None:
    assert fold_mount_path(raw) == folded
