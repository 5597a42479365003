"""The life of a key over HTTP, without a restart."""

from __future__ import annotations

import pytest
from quart import Quart

from tests.http.conftest import Client

KEYS = "/api/v1/keys"


async def made(client: Client, name: str = "monitoring", scope: str = "read") -> str:
    answer = await client.post(KEYS, {"name": name, "scope": scope})
    assert answer.status == 200 and answer.headers["Cache-Control"] == "no-store"
    secret: str = answer.json["secret"]
    return secret


async def status(app: Quart, secret: str) -> int:
    return (await Client(app, secret).get("/api/v1/pools")).status


async def test_a_key_is_made_rotated_and_revoked(app: Quart, client: Client) -> None:
    first = await made(client)
    assert await status(app, first) == 200
    rotated = await client.post(f"{KEYS}/monitoring/rotate")
    assert rotated.headers["Cache-Control"] == "no-store"
    second = rotated.json["secret"]
    assert (await status(app, first), await status(app, second)) == (401, 200)
    revoked = await client.delete(f"{KEYS}/monitoring")
    assert revoked.json == {"success": True, "message": "Key monitoring is revoked"}
    assert await status(app, second) == 401


async def test_a_list_holds_no_secret(client: Client) -> None:
    secret = await made(client)
    answer = await client.get(KEYS)
    assert [(key["name"], key["scope"]) for key in answer.json["keys"]] == [
        ("api-key", "admin"),
        ("monitoring", "read"),
    ]
    assert secret not in answer.text and "digest" not in answer.text


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"name": "x"}, 400, "scope is required"),
        ({"name": "x", "scope": "root"}, 400, "scope must be one of read, operate, admin"),
        ({"name": "a b", "scope": "read"}, 400, "A key's name has 1 to 63"),
        ({"name": "api-key", "scope": "read"}, 409, "There is a key api-key already"),
    ],
)
async def test_what_cannot_be_made(
    client: Client, body: dict[str, str], status: int, words: str
) -> None:
    answer = await client.post(KEYS, body)
    assert answer.status == status and words in answer.error["message"]


async def test_keys_that_do_not_exist(client: Client) -> None:
    for answer in (await client.post(f"{KEYS}/x/rotate"), await client.delete(f"{KEYS}/x")):
        assert (answer.status, answer.error["message"]) == (404, "There is no key x")
