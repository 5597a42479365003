"""Every failure is the envelope; nothing is ignored; nothing leaks."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backy_core.api.errors import STATUS_OF_CODE
from backy_core.api.server.limits import MAX_BODY_BYTES
from backy_core.sdk.errors import BackyError, DriveNotEmpty
from tests.http.conftest import Client
from tests.http.fake_agent import FakeAgent
from tests.http.fake_pools import GUID, standing_pool
from tests.http.test_pools import create_body

POOLS = "/api/v1/pools"
JSON = {"Content-Type": "application/json"}


def every_error(root: type[BackyError] = BackyError) -> list[type[BackyError]]:
    return [root, *(leaf for one in root.__subclasses__() for leaf in every_error(one))]


def test_every_error_that_may_be_served_has_a_status() -> None:
    edges = ("backy_core.cli.", "backy_core.config.")
    codes = {one.code for one in every_error() if not one.__module__.startswith(edges)}
    assert codes == set(STATUS_OF_CODE)


@pytest.mark.parametrize(
    "path", ["/nothing", "/api", "/api/v1", "/api/v2/pools", f"{POOLS}/{GUID}/x"]
)
async def test_unknown_routes(client: Client, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status, answer.error["code"]) == (404, "NOT_FOUND")
    assert answer.error["message"] == f"There is nothing at {path}"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", POOLS, {"GET", "HEAD", "OPTIONS", "POST"}),
        ("DELETE", POOLS, {"GET", "HEAD", "OPTIONS", "POST"}),
        ("POST", f"{POOLS}/{GUID}", {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH"}),
        ("GET", f"{POOLS}/metadata", {"DELETE", "OPTIONS"}),
        ("DELETE", f"{POOLS}/importable", {"GET", "HEAD", "OPTIONS"}),
        ("GET", f"{POOLS}/{GUID}/mount", {"DELETE", "OPTIONS", "POST"}),
        ("POST", "/health", {"GET", "HEAD", "OPTIONS"}),
    ],
)
async def test_wrong_methods(client: Client, method: str, path: str, allow: set[str]) -> None:
    answer = await client(method, path)
    assert (answer.status, answer.error["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert set(answer.headers["Allow"].split(", ")) == allow


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"not json",
        b'{"label": NaN}',
        b"\xff\xfe",
        b'{"a": 1',
        b'{"label": "\\ud800"}',
        b'{"\\udfff": 1}',
        b"[" * 30_000,
        b'{"pids": [' + b"9" * 5000 + b"]}",
    ],
)
async def test_bad_json(client: Client, data: bytes) -> None:
    answer = await client.post(POOLS, data=data, headers=JSON)
    assert answer.status == 400
    assert answer.error == {"code": "VALIDATION_ERROR", "message": "The body is not valid JSON"}


@pytest.mark.parametrize("data", [b"[]", b"1", b'"x"', b"null", b"true"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", POOLS), ("POST", f"{POOLS}/{GUID}/mount"), ("DELETE", f"{POOLS}/{GUID}")],
)
async def test_bodies_must_be_objects(
    client: Client, agent: FakeAgent, method: str, path: str, data: bytes
) -> None:
    agent.pools.add(standing_pool())
    answer = await client(method, path, data=data, headers=JSON)
    assert (answer.status, answer.error["message"]) == (400, "The body must be a JSON object")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", POOLS), ("DELETE", f"{POOLS}/{GUID}"), ("PATCH", f"{POOLS}/{GUID}")],
)
async def test_wrong_media_types(
    client: Client, agent: FakeAgent, kind: str | None, method: str, path: str
) -> None:
    agent.pools.add(standing_pool())
    headers = {"Content-Type": kind} if kind else {}
    answer = await client(method, path, data=b'{"wipe": true}', headers=headers)
    assert (answer.status, answer.error["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert agent.pools.finished == []


async def test_json_with_a_charset_is_json(client: Client) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    data = json.dumps(create_body()).encode()
    assert (await client.post(POOLS, data=data, headers=headers)).status == 202


async def test_oversize_bodies(client: Client) -> None:
    answer = await client.post(POOLS, data=b" " * (MAX_BODY_BYTES + 1), headers=JSON)
    assert (answer.status, answer.error["code"]) == (413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"wipe": "yes"}, "wipe must be true or false"),
        ({"wipe": 1}, "wipe must be true or false"),
        ({"wipe": None}, "wipe must be true or false"),
        ({"Wipe": True}, "Unknown field Wipe"),
        ({"drive_serials": []}, "Unknown field drive_serials"),
        ({"label": 5}, "label must be text"),
        ({"label": "a\nb"}, "label must not contain control characters"),
        ({"mountPath": "/mnt/\u0000"}, "mountPath must not contain control characters"),
        ({"driveSerials": "a"}, "driveSerials must be a list"),
        ({"driveSerials": [1]}, "driveSerials[0] must be text"),
        ({"driveSerials": ["a"] * 1001}, "driveSerials has too many entries"),
        ({"driveLabels": {"a": 1}}, "driveLabels.a must be text"),
        ({"driveLabels": []}, "driveLabels must be an object"),
        ({"poolGroupGuid": "abc"}, "poolGroupGuid must be a dashed GUID of 36 characters"),
        ({"level": 1}, "level must be text"),
    ],
)
async def test_create_takes_nothing_it_does_not_understand(
    client: Client, agent: FakeAgent, changes: dict[str, Any], message: str
) -> None:
    answer = await client.post(POOLS, create_body(**changes))
    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    assert answer.error["message"] == message
    assert agent.pools.requests == []


async def test_all_that_is_wrong_is_named(client: Client) -> None:
    answer = await client.post(POOLS, {"wipe": "yes", "bogus": 1})
    everything = answer.error["message"] + "; " + answer.error["details"]
    for text in ("label is required", "driveSerials is required"):
        assert text in everything
    assert "wipe must be true or false" in everything
    assert "Unknown field bogus" in everything


async def test_an_empty_creation(client: Client) -> None:
    assert (await client.post(POOLS)).error["message"] == "label is required"


async def test_a_field_given_twice(client: Client, agent: FakeAgent) -> None:
    data = b'{"serial": "a", "wipe": false, "wipe": true}'
    answer = await client.post(f"{POOLS}/{GUID}/drives/add", data=data, headers=JSON)
    assert answer.error["message"] == "Field wipe is given more than once"
    assert agent.pools.added == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", POOLS),
        ("GET", f"{POOLS}/{GUID}"),
        ("GET", f"{POOLS}/{GUID}/outputs"),
        ("DELETE", f"{POOLS}/{GUID}"),
        ("POST", f"{POOLS}/{GUID}/mount"),
        ("GET", "/api/v1/drives"),
        ("GET", "/api/v1/mounts/%2Fmnt/size"),
        ("GET", "/health"),
        ("GET", "/openapi.json"),
    ],
)
async def test_unknown_query_parameters_are_named(
    client: Client, agent: FakeAgent, method: str, path: str
) -> None:
    agent.pools.add(standing_pool())
    answer = await client(method, f"{path}?dry_run=true")
    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    assert answer.error["message"] == "Unknown query parameter dry_run"
    assert agent.pools.finished == []


async def test_a_parameter_given_twice(client: Client) -> None:
    answer = await client.get(f"{POOLS}?state=ready&state=failed")
    assert answer.error["message"] == "Query parameter state is given more than once"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", f"{POOLS}/{GUID}"),
        ("DELETE", f"{POOLS}/{GUID}/mount"),
        ("POST", "/api/v1/drives/refresh"),
        ("PUT", "/api/v1/drives/x/protection"),
        ("DELETE", f"{POOLS}/metadata"),
        ("POST", f"{POOLS}/{GUID}/mount"),
        ("PATCH", f"{POOLS}/{GUID}"),
        ("POST", f"{POOLS}/{GUID}/import"),
    ],
)
async def test_unknown_fields_are_named_everywhere(
    client: Client, agent: FakeAgent, method: str, path: str
) -> None:
    agent.pools.add(standing_pool())
    answer = await client(method, path, json={"lazily": True})
    assert (answer.status, answer.error["message"]) == (400, "Unknown field lazily")
    assert agent.pools.finished == []
    assert GUID in agent.pools.known


async def test_an_empty_object_where_no_body_is_needed(client: Client, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    assert (await client.delete(f"{POOLS}/{GUID}", json={})).status == 200


async def test_details_and_hint_reach_the_client(client: Client, agent: FakeAgent) -> None:
    agent.pools.broken = DriveNotEmpty(
        "Drive a holds data", details="ext4 (photos).", hint='Send "wipe": true'
    )
    answer = await client.get(f"{POOLS}/{GUID}")
    assert answer.status == 409
    assert answer.error == {
        "code": "DRIVE_NOT_EMPTY",
        "message": "Drive a holds data",
        "details": 'ext4 (photos). Send "wipe": true',
    }


async def test_a_defect_is_logged_and_not_shown(
    client: Client, agent: FakeAgent, caplog: pytest.LogCaptureFixture
) -> None:
    agent.pools.broken = RuntimeError("secret /srv/place")
    answer = await client.get(f"{POOLS}/{GUID}")
    assert answer.status == 500
    assert answer.error == {
        "code": "INTERNAL_ERROR",
        "message": "Internal error; see the agent's log",
    }
    assert "secret /srv/place" in caplog.text
    assert f"GET {POOLS}/{GUID} failed with an internal error" in caplog.text


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from([*create_body(), "wipe", "backend", "level", "filesystem"]) | st.text()


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(changes=st.dictionaries(names, values, max_size=4))
async def test_no_body_breaks_the_agent(client: Client, changes: dict[str, Any]) -> None:
    answer = await client.post(f"{POOLS}?dryRun=true", {**create_body(), **changes})
    assert answer.status in (200, 400)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(text=st.text(st.characters(codec="ascii"), max_size=30))
async def test_no_path_breaks_the_agent(client: Client, text: str) -> None:
    for prefix in (POOLS, "/api/v1/mounts", "/api/v1/drives", "/api/v1/operations"):
        answer = await client.get(f"{prefix}/{quote(text, safe='/%')}")
        assert answer.status in (200, 400, 404, 405)
