"""No request holds up the event loop, whoever sends it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.http.conftest import Client
from tests.http.fake_agent import FakeAgent
from tests.http.fake_pools import GUID, standing_pool
from tests.http.test_pools import create_body
from tests.http.watchdog import LoopWatch

MOST_S = 0.05
"""Of the loop's own processor time: what others do on this machine does not count."""
FULL = 32 * 1024 - 64
LINE = 8 * 1024 - 64


def filled(piece: str, around: str = "%s", size: int = FULL) -> bytes:
    """JSON of about ``size`` bytes: ``piece`` over and over, with a number in it or not."""
    count = size // (len(piece % 10_000 if "%" in piece else piece) + 1)
    pieces = (piece % number if "%" in piece else piece for number in range(count))
    return (around % ",".join(pieces)).encode()


def create(**fields: Any) -> bytes:
    return json.dumps(create_body() | fields).encode()


BODIES: dict[str, bytes] = {
    "deep array": b"[" * FULL,
    "deep and closed": b"[" * (FULL // 2) + b"]" * (FULL // 2),
    "deep objects": b'{"a":' * (FULL // 5),
    "repeated field": filled('"a":1', "{%s}"),
    "one field twice among many": filled('"%05d":1', '{"00000":1,%s}'),
    "unknown fields": filled('"%05d":1', "{%s}"),
    "empty objects": filled("{}", "[%s]"),
    "objects in a list": filled("{}", '{"driveSerials":[%s]}'),
    "numbers in a list": filled("1", '{"driveSerials":[%s]}'),
    "serials": filled('"%05d"', '{"label":"a","driveSerials":[%s]}'),
    "labels": filled('"%05d":1', '{"driveLabels":{%s}}'),
    "long text": create(label="a" * (FULL - 500)),
    "control characters": create(label="\0" * 5_000),
    "long path": create(mountPath="/" + "a/" * 15_000),
    "dots": create(mountPath="/" + "../" * 10_000),
    "long number": b'{"label":' + b"9" * (FULL - 100) + b"}",
    "long fraction": b'{"label":0.' + b"9" * (FULL - 100) + b"}",
    "escapes": b'{"label":"' + b"\\ud83d\\ude00" * 2500 + b'"}',
    "lone surrogates": b'{"label":"' + b"\\ud83d" * 5_000 + b'"}',
    "pids": filled("1", '{"poolGroupGuid":"' + GUID + '","pids":[%s]}'),
    "white space": b" " * FULL,
    "not Unicode": b"\xff" * FULL,
    "too large": b"[" * (8 * FULL),
}
QUERIES: dict[str, str] = {
    "many parameters": "&".join(f"a{number}=1" for number in range(LINE // 8)),
    "one parameter often": "&".join(["state=ready"] * (LINE // 12)),
    "empty parameters": "&" * LINE,
    "percent signs": "a=" + "%" * LINE,
    "escapes": "state=" + "%41" * (LINE // 3),
}
PATHS: dict[str, str] = {
    "slashes": "/api/v1/mounts/" + "/" * LINE,
    "escaped slashes": "/api/v1/mounts/" + "%2F" * (LINE // 3),
    "segments": "/api/v1/" + "a/" * (LINE // 2),
    "serial": "/api/v1/drives/" + "%2Fa" * (LINE // 4) + "/status",
    "guid": "/api/v1/pools/" + "a-" * (LINE // 2),
    "file": "/docs/static/" + "../" * (LINE // 3),
}
Send = Callable[[Client], Any]


@pytest.fixture(params=["with the key", "without"])
async def sender(
    request: pytest.FixtureRequest, client: Client, stranger: Client, agent: FakeAgent
) -> Client:
    agent.pools.add(standing_pool())
    chosen = client if request.param == "with the key" else stranger
    # Models are built at their first request; that is the start's cost, not a request's.
    await chosen.get("/api/v1/pools?state=ready")
    for path in ("/api/v1/pools", "/api/v1/processes/kill"):
        await chosen.post(path, {})
    return chosen


async def check(send: Send, sender: Client) -> None:
    with LoopWatch() as watch:
        answer = await send(sender)
    assert answer.status < 500
    assert len(answer.text) < 4500
    assert watch.longest_s < MOST_S


@pytest.mark.parametrize("path", ["/api/v1/pools", "/api/v1/processes/kill"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_bodies(sender: Client, path: str, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    await check(lambda client: client.post(path, data=body, headers=headers), sender)


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
async def test_queries(sender: Client, query: str) -> None:
    for path in ("/api/v1/pools", "/api/v1/status"):
        await check(lambda client, path=path: client.get(f"{path}?{query}"), sender)  # type: ignore[misc]


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
async def test_paths(sender: Client, path: str) -> None:
    await check(lambda client: client.get(path), sender)


async def test_many_headers(sender: Client) -> None:
    headers = {f"X-{number}": "a" * 100 for number in range(95)}
    headers["Prefer"] = "respond-async," * 500
    await check(lambda client: client.get("/api/v1/pools", headers=headers), sender)


@pytest.mark.parametrize("path", ["/openapi.json", "/docs/static/swagger-ui/swagger-ui-bundle.js"])
async def test_fixed_replies(stranger: Client, path: str) -> None:
    first = await stranger.get(path)
    with LoopWatch() as watch:
        again = await stranger.get(path, headers={"If-None-Match": first.headers["ETag"]})
        whole = await stranger.get(path)
    assert (again.status, again.text, whole.text) == (304, "", first.text)
    assert watch.longest_s < 0.02
