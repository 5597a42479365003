"""Authentication."""

from __future__ import annotations

import pytest
from quart import Quart

from tests.http.conftest import Client

OPEN = ["/api/v1/status", "/api/v1/status/", "/health", "/openapi.json", "/docs", "/", "/drives"]


@pytest.mark.parametrize("path", OPEN)
async def test_open_routes_need_no_key(stranger: Client, path: str) -> None:
    assert (await stranger.get(path)).status == 200


async def test_the_viewers_files_need_no_key(stranger: Client) -> None:
    for name in ("viewer.js", "swagger-ui/swagger-ui-bundle.js", "swagger-ui/swagger-ui.css"):
        assert (await stranger.get(f"/docs/static/{name}")).status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/pools"),
        ("POST", "/api/v1/pools"),
        ("POST", "/api/v1/status"),
        ("GET", "/api/v1/nothing"),
        ("POST", "/"),
        ("GET", "/api/v1/pools/not-a-guid"),
        ("DELETE", "/api/v1/pools/metadata"),
        ("GET", "/api/v1/drives?bogus=1"),
        ("OPTIONS", "/api/v1/pools"),
        ("GET", "/api/v1/mounts/%2Fmnt"),
    ],
)
async def test_everything_else_does(stranger: Client, method: str, path: str) -> None:
    answer = await stranger(method, path)
    assert answer.status == 401
    assert answer.error == {"code": "UNAUTHORIZED", "message": "API key is required"}
    assert answer.headers["WWW-Authenticate"] == "X-Api-Key"


@pytest.mark.parametrize("key", ["wrong", "test-key-3f0", "test-key-3f0cc", "TEST-KEY-3F0C", "ü"])
async def test_a_wrong_key_is_refused(app: Quart, key: str) -> None:
    answer = await Client(app, key=key).get("/api/v1/pools")
    assert answer.status == 401
    assert answer.error == {"code": "UNAUTHORIZED", "message": "Invalid API key"}


async def test_an_empty_key_is_no_key(app: Quart) -> None:
    answer = await Client(app, key="").get("/api/v1/pools")
    assert answer.error["message"] == "API key is required"


async def test_the_right_key_opens(client: Client) -> None:
    assert (await client.get("/api/v1/pools")).status == 200
