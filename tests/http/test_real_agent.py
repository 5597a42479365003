"""The same edge over the composed agent, before it looked at any machine.

Nothing here starts the agent: what needs drives is tested on a kernel of its own.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from backy_core.api.app import create_app
from backy_core.config.settings import Settings
from backy_core.plugins.host import PluginHost
from backy_core.runtime import Runtime
from tests.http.conftest import Client
from tests.http.fake_agent import KEY
from tests.http.fake_pools import GUID, MOUNT

POOL = f"/api/v1/pools/{GUID}"


@pytest.fixture
async def client(tmp_path: Path) -> Client:
    settings = Settings(
        state_dir=tmp_path / "state",
        runtime_dir=tmp_path / "run",
        config_dir=tmp_path / "etc",
        mount_roots=(tmp_path / "mnt",),
        mount_root=tmp_path / "mnt",
    )
    runtime = Runtime(settings, host=PluginHost({}, (), ()), events=lambda: None)
    runtime.keys.use(KEY)
    return Client(create_app(runtime))


async def test_an_agent_without_a_key_lets_nobody_in(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, runtime_dir=tmp_path, config_dir=tmp_path)
    runtime = Runtime(settings, host=PluginHost({}, (), ()), events=lambda: None)
    for key in ("", "x"):
        assert (await Client(create_app(runtime), key).get("/api/v1/pools")).status == 401


@pytest.mark.parametrize("path", ["pools", "pools?state=failed", "pools/importable", "operations"])
async def test_empty_lists(client: Client, path: str) -> None:
    answer = await client.get(f"/api/v1/{path}")
    assert (answer.status, answer.json) == (200, [])


async def test_no_backends_and_no_drives(client: Client) -> None:
    assert (await client.get("/api/v1/backends")).json == {"backends": [], "failedPlugins": []}
    assert (await client.get("/api/v1/drives")).json == {"blockdevices": []}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", POOL),
        ("DELETE", POOL),
        ("PATCH", POOL),
        ("GET", f"{POOL}/outputs"),
        ("POST", f"{POOL}/mount"),
        ("DELETE", f"{POOL}/mount"),
        ("GET", f"{POOL}/processes"),
        ("DELETE", f"/api/v1/pools/metadata/{GUID}"),
        ("GET", f"/api/v1/mounts/%2Fmnt%2Fbacky%2F{GUID}"),
        ("GET", f"/api/v1/mounts/%2Fmnt%2Fbacky%2F{GUID}/size"),
        ("GET", "/api/v1/drives/x/status"),
        ("PUT", "/api/v1/drives/x/protection"),
        ("DELETE", "/api/v1/drives/x/protection"),
        ("GET", f"/api/v1/operations/{GUID}"),
        ("POST", f"/api/v1/operations/{GUID}/cancel"),
    ],
)
async def test_what_does_not_exist(client: Client, method: str, path: str) -> None:
    answer = await client(method, path, json={})
    assert (answer.status, answer.error["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("dry_run", ["", "?dryRun=true"])
async def test_an_unknown_backend(client: Client, dry_run: str) -> None:
    body = {"label": "a", "driveSerials": ["x"], "mountPath": MOUNT, "backend": "bogus"}
    answer = await client.post(f"/api/v1/pools{dry_run}", body)
    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    assert "bogus" in answer.error["message"]


async def test_killing_for_an_unknown_pool(client: Client) -> None:
    answer = await client.post("/api/v1/processes/kill", {"poolGroupGuid": GUID, "pids": [1]})
    assert answer.status == 404


async def test_forgetting_nothing(client: Client) -> None:
    assert (await client.delete("/api/v1/pools/metadata")).json["success"] is True
