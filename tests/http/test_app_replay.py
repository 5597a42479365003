"""The Backy app's calls, byte for byte, and its replies, read by the rules that the app has.

The contract states its requests and its parser as facts; these bytes change only with it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from quart import Quart

from backy_core.api.server.server import Server
from backy_core.cli.sockets import bind
from backy_core.client import calls
from tests.http.fake_agent import KEY, FakeAgent
from tests.http.fake_pools import GUID, standing_pool

Send = Callable[[bytes], Awaitable[tuple[int, Any]]]
CREATE = (
    b'{"label":"backup-1","driveSerials":["drive-scsi1","drive-scsi2"],'
    b'"driveLabels":{"drive-scsi1":"backup-1-1"},'
    b'"mountPath":"/mnt/backy/3fa85f64-5717-4562-b3fc-2c963f66afa6",'
    b'"poolGroupGuid":"3fa85f64-5717-4562-b3fc-2c963f66afa6"}'
)
ENCODED = b"%2Fmnt%2Fbacky%2F3fa85f64-5717-4562-b3fc-2c963f66afa6"
POOL = b"/api/v1/pools/3fa85f64-5717-4562-b3fc-2c963f66afa6"


def request(method: bytes, path: bytes, body: bytes | None = None) -> bytes:
    head = [
        method + b" " + path + b" HTTP/1.1",
        b"Host: localhost:5151",
        b"X-Api-Key: " + KEY.encode(),
    ]
    if body is not None:
        head += [b"Content-Type: application/json", b"Content-Length: %d" % len(body)]
    return b"\r\n".join([*head, b"", b""]) + (body or b"")


@pytest.fixture
async def send(app: Quart) -> AsyncIterator[Send]:
    server = Server(app)
    with bind("127.0.0.1", 0) as listener:
        server.listen(listener)
        reader, writer = await asyncio.open_connection(*listener.getsockname())

        async def exchange(sent: bytes) -> tuple[int, Any]:
            """On one connection that stays open, as the app's does."""
            writer.write(sent)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r")[0])
            return int(head.split()[1]), json.loads(await reader.readexactly(length))

        yield exchange
        writer.close()
        await server.close(1)


def succeeded(status: int, body: Any) -> bool:
    """An empty body is a failure to the app, as is one without the word."""
    return 200 <= status < 300 and body["success"] is True


def digits(percent: str) -> int:
    """The app parses what stands before the sign as an int."""
    return int(percent.removesuffix("%"))


def message(body: Any) -> str:
    error = body["error"]
    return ": ".join(filter(None, (error["message"], error.get("details"))))


async def test_creating(send: Send, agent: FakeAgent) -> None:
    for path in (b"/api/v1/pools", b"/api/v1/pools/"):
        status, body = await send(request(b"POST", path, CREATE))
        assert status == 202 and succeeded(status, body)
        assert list(body) == ["success", "poolGroupGuid", "state"]
    asked = agent.pools.requests[0]
    assert (asked.guid, asked.mount_path, asked.wipe) == (GUID, f"/mnt/backy/{GUID}", False)
    assert (asked.backend, asked.level, asked.filesystem) == (None, None, None)
    status, body = await send(request(b"GET", POOL))
    assert status == 200 and body["state"] in ("creating", "ready", "failed", "error")


async def test_reading(send: Send, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    status, pool = await send(request(b"GET", POOL))
    assert status == 200 and pool["state"] == "ready"
    assert digits(pool["usePercent"]) == 5
    status, listed = await send(request(b"GET", b"/api/v1/pools/"))
    assert status == 200 and isinstance(listed, list)
    assert listed[0]["drives"] is not None and listed[0]["state"] is not None
    status, drives = await send(request(b"GET", b"/api/v1/drives"))
    assert status == 200
    for drive in drives["blockdevices"]:
        assert drive["serial"] is not None and isinstance(drive["children"], list)
        assert not (drive["id-link"] or "").startswith("/")
    assert (await send(request(b"GET", POOL + b"/outputs")))[0] in (200, 404)


async def test_mounts_are_asked_for_by_a_path_inside_the_path(send: Send, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    for path in (ENCODED, ENCODED.removeprefix(b"%2F")):
        status, body = await send(request(b"GET", b"/api/v1/mounts/" + path))
        assert status == 200 and isinstance(body["processes"], list)
        status, size = await send(request(b"GET", b"/api/v1/mounts/" + path + b"/size"))
        assert status == 200 and digits(size["usePercent"]) >= 0


async def test_a_busy_pool_opens_the_dialog(send: Send, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    agent.pools.busy.add(GUID)
    status, body = await send(request(b"DELETE", POOL + b"/mount"))
    assert status == 409 and body["busy"] is True
    assert "target is busy" in message(body)
    kill = b'{"poolGroupGuid":"' + GUID.encode() + b'","pids":[4242],"action":"unmountpool"}'
    status, body = await send(request(b"POST", b"/api/v1/processes/kill", kill))
    assert succeeded(status, body)


async def test_mounting_and_deleting(send: Send, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    for _ in range(2):  # it sends again what it got no answer to
        status, body = await send(request(b"DELETE", POOL + b"/mount"))
        assert succeeded(status, body) and body["state"] == "unmounted"
    path = b'{"mountPath":"/mnt/backy/3fa85f64-5717-4562-b3fc-2c963f66afa6"}'
    status, body = await send(request(b"POST", POOL + b"/mount", path))
    assert succeeded(status, body) and body["state"] == "ready"
    add = b'{"driveId":7,"devPath":"/dev/disk/by-id/scsi-SERIAL"}'
    status, body = await send(request(b"POST", POOL + b"/drives/add", add))
    assert succeeded(status, body)
    status, body = await send(request(b"DELETE", POOL))
    assert succeeded(status, body) and body["state"] == "deleted"


def test_the_client_sends_the_body_that_the_app_sends() -> None:
    call = calls.create_pool(
        "backup-1",
        ["drive-scsi1", "drive-scsi2"],
        drive_labels={"drive-scsi1": "backup-1-1"},
        mount_path=f"/mnt/backy/{GUID}",
        guid=GUID,
    )
    assert json.dumps(call.body, separators=(",", ":")).encode() == CREATE
    assert calls.mounted_pool(f"/mnt/backy/{GUID}").path == "/mounts/" + ENCODED.decode()
