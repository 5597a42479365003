"""The OpenAPI document, its viewer, and real replies held against it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from quart import Quart

import backy_core.api
from backy_core.api.wire.pools import PoolDetail, PoolList
from backy_core.pools.views import PoolState
from tests.http.conftest import Client
from tests.http.fake_agent import FakeAgent
from tests.http.fake_pools import GUID, standing_pool

STATIC = Path(backy_core.api.__file__).parent / "static"


@pytest.fixture
async def document(stranger: Client) -> dict[str, Any]:
    answer: dict[str, Any] = (await stranger.get("/openapi.json")).json
    return answer


def references(node: Any) -> set[str]:
    """Every ``$ref`` and discriminator target below ``node``."""
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        mapped = set(node.get("mapping", {}).values()) if "propertyName" in node else set()
        return own | mapped | {ref for value in node.values() for ref in references(value)}
    if isinstance(node, list):
        return {ref for value in node for ref in references(value)}
    return set()


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = references(document)
    assert "#/components/schemas/ReadyPool" in found
    schemas = document["components"]["schemas"]
    assert found <= {f"#/components/schemas/{name}" for name in schemas}


def test_every_route_is_described(app: Quart, document: dict[str, Any]) -> None:
    served = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if rule.rule.startswith("/api/") and method not in ("HEAD", "OPTIONS")
    }
    described = {
        (path, method) for path, methods in document["paths"].items() for method in methods
    }
    assert described == served | {("/health", "get"), ("/metrics", "get")}
    assert document["openapi"].startswith("3.1")


def test_every_operation_is_complete(document: dict[str, Any]) -> None:
    ids = []
    for path, methods in document["paths"].items():
        for operation in methods.values():
            ids.append(operation["operationId"])
            assert operation["summary"]
            assert "`" not in operation["summary"]
            assert len(operation["tags"]) == 1
            assert {"200", "202"} & set(operation["responses"])
            assert operation["responses"]["default"]["content"]
            named = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))
    assert len(ids) == len(set(ids))


def test_only_the_open_routes_need_no_key(document: dict[str, Any]) -> None:
    assert document["security"] == [{"apiKey": []}]
    assert document["components"]["securitySchemes"]["apiKey"]["name"] == "X-Api-Key"
    open_paths = {
        path
        for path, methods in document["paths"].items()
        for operation in methods.values()
        if operation.get("security") == []
    }
    assert open_paths == {"/api/v1/status", "/health", "/api/v1/session"}


def test_required_bodies_are_required(document: dict[str, Any]) -> None:
    paths = document["paths"]
    assert paths["/api/v1/pools"]["post"]["requestBody"]["required"] is True
    mount = paths["/api/v1/pools/{guid}/mount"]["post"]
    assert mount["requestBody"]["required"] is False
    body = paths["/api/v1/pools"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["additionalProperties"] is False
    assert set(body["required"]) == {"label", "driveSerials"}


def test_a_pool_is_told_apart_by_its_state(document: dict[str, Any]) -> None:
    reply = document["paths"]["/api/v1/pools/{guid}"]["get"]["responses"]["200"]
    schema = reply["content"]["application/json"]["schema"]
    assert schema["discriminator"]["propertyName"] == "state"
    assert set(schema["discriminator"]["mapping"]) == {state.value for state in PoolState}
    failed = document["components"]["schemas"]["FailedPool"]
    assert set(failed["properties"]) == {"state", "errorMessage"}
    ready = document["components"]["schemas"]["ReadyPool"]
    assert "resyncPercentage" not in ready["required"]


@pytest.mark.parametrize("state", list(PoolState))
async def test_replies_are_what_the_models_say(
    client: Client, agent: FakeAgent, state: PoolState
) -> None:
    agent.pools.add(standing_pool(state))
    detail = await client.get(f"/api/v1/pools/{GUID}")
    assert PoolDetail.model_validate_json(detail.text).model_dump_json() == detail.text
    listed = await client.get(f"/api/v1/pools?state={state.value}")
    assert PoolList.model_validate_json(listed.text).model_dump_json() == listed.text


async def test_the_viewer_needs_no_internet(stranger: Client) -> None:
    page = (await stranger.get("/docs")).text
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(addresses) == 3
    for address in addresses:
        assert address.startswith("/docs/static/")
        assert (await stranger.get(address)).status == 200
    assert "default-src 'self'" in page
    script = (await stranger.get("/docs/static/viewer.js")).text
    assert "validatorUrl: null" in script
    assert "http" not in script


def test_what_is_vendored_says_whose_it_is() -> None:
    vendored = STATIC / "swagger-ui"
    assert "Apache License" in (vendored / "LICENSE").read_text()
    assert re.search(r"\d+\.\d+\.\d+", (vendored / "VERSION").read_text())


def test_the_helper_finds_references() -> None:
    nested = {"a": [{"$ref": "x"}], "discriminator": {"propertyName": "p", "mapping": {"k": "y"}}}
    assert references(nested) == {"x", "y"}
    assert TypeAdapter(set[str]).validate_python(references({})) == set()
