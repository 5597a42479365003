"""What each route declares is what is enforced, and what the document says."""

from __future__ import annotations

import re
from typing import Any

import pytest
from quart import Quart

from backy_core.api.scopes import needed_scope, needs
from backy_core.store.keys import Scope
from backy_core.web import pages
from tests.http.conftest import Answer, Client
from tests.http.fake_agent import FakeAgent
from tests.http.fake_pools import GUID, PROCESS, standing_pool

OPERATING = {
    ("POST", "/api/v1/pools/{guid}/mount"),
    ("DELETE", "/api/v1/pools/{guid}/mount"),
    ("POST", "/api/v1/processes/kill"),
    ("POST", "/api/v1/drives/refresh"),
    ("POST", "/api/v1/drives/{serial}/blink"),
}
READING = {("DELETE", "/api/v1/session")}
"""It ends the caller's own session."""
PAGES = {re.sub(r"<(\w+)>", r"{\1}", path) for path in (*pages.PAGES, f"{pages.FILES}/<filename>")}
"""They hold nothing of the agent's: scripts fill them by calls that need a key."""
OPEN = {
    ("GET", path)
    for path in (
        *("/api/v1/status", "/health", "/openapi.json", "/docs", "/docs/static/{filename}"),
        *PAGES,
    )
} | {("POST", "/api/v1/session")}


def routes(app: Quart) -> dict[tuple[str, str], Scope | None]:
    """Every method and path with its declared scope."""
    return {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)): needed_scope(
            app.view_functions[rule.endpoint]
        )
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


@pytest.fixture
async def clients(app: Quart, agent: FakeAgent) -> dict[Scope, Client]:
    """One for each scope."""
    made = {scope: await agent.keys.create(f"a-{scope}", scope) for scope in Scope}
    return {scope: Client(app, secret) for scope, (_, secret) in made.items()}


async def test_every_scope_on_every_route(app: Quart, clients: dict[Scope, Client]) -> None:
    declared = routes(app)
    assert len(declared) > 35
    for (method, path), needed in declared.items():
        for scope, client in clients.items():
            answer = await client(method, path.replace("{guid}", GUID))
            refused = needed is not None and not scope.covers(needed)
            place = f"{scope}: {method} {path}: {answer.text}"
            assert (answer.status == 403) is refused, place
            if refused:
                assert answer.error == refusal(needed, scope), place


def refusal(needed: Scope | None, scope: Scope) -> dict[str, str]:
    message = f"This call needs a key of scope {needed}; the scope of this one is {scope}"
    return {"code": "INSUFFICIENT_SCOPE", "message": message}


async def test_every_route_declares_what_its_like_do(app: Quart) -> None:
    for (method, path), needed in routes(app).items():
        reads = method == "GET" and path != "/api/v1/keys"
        expected = Scope.READ if reads else Scope.ADMIN
        if (method, path) in READING:
            expected = Scope.READ
        if (method, path) in OPERATING:
            expected = Scope.OPERATE
        assert needed == (None if (method, path) in OPEN else expected), (method, path)


async def test_the_document_says_what_is_declared(app: Quart, stranger: Client) -> None:
    document: dict[str, Any] = (await stranger.get("/openapi.json")).json
    declared = routes(app)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            scope = declared[method.upper(), path]
            said = [] if scope is None else [{"apiKey": [str(scope)]}]
            assert operation["security"] == said, (method, path)
            if scope is not None:
                assert f"Needs a key of scope `{scope}`" in operation["description"]
    kill = document["paths"]["/api/v1/processes/kill"]["post"]["description"]
    assert '`action`: "RemovePoolGroup" needs scope `admin`' in kill


async def test_a_larger_scope_includes_the_smaller() -> None:
    covered = {(one, other) for one in Scope for other in Scope if one.covers(other)}
    order = list(Scope)
    assert covered == {(a, b) for a in order for b in order if order.index(a) >= order.index(b)}


def test_a_handler_that_declares_nothing_is_for_admins() -> None:
    assert needed_scope(lambda: None) is Scope.ADMIN
    assert needed_scope(needs(None)(lambda: None)) is None


async def test_what_does_not_exist_is_not_found_by_any_key(clients: dict[Scope, Client]) -> None:
    for client in clients.values():
        assert (await client.get("/api/v1/nothing")).status == 404
        assert (await client.post("/api/v1/status")).status == 405


async def mount(client: Client, force: bool) -> Answer:
    return await client.post(f"/api/v1/pools/{GUID}/mount", {"force": force, "label": "backup-1"})


async def test_only_an_admin_mounts_by_force(
    clients: dict[Scope, Client], agent: FakeAgent
) -> None:
    agent.pools.add(standing_pool())
    refused = await mount(clients[Scope.OPERATE], force=True)
    assert refused.error == refusal(Scope.ADMIN, Scope.OPERATE)
    assert agent.pools.forced == []
    assert (await mount(clients[Scope.OPERATE], force=False)).status == 200
    assert (await mount(clients[Scope.ADMIN], force=True)).status == 200


@pytest.mark.parametrize("action", ["RemovePoolGroup", "removepoolgroup"])
async def test_only_an_admin_kills_to_delete(
    clients: dict[Scope, Client], agent: FakeAgent, action: str
) -> None:
    agent.pools.add(standing_pool())
    body = {"poolGroupGuid": GUID, "pids": [PROCESS.pid], "action": action}
    refused = await clients[Scope.OPERATE].post("/api/v1/processes/kill", body)
    assert refused.error == refusal(Scope.ADMIN, Scope.OPERATE)
    assert agent.pools.killed == []
    unmounting = {**body, "action": "UnmountPool"}
    assert (await clients[Scope.OPERATE].post("/api/v1/processes/kill", unmounting)).status == 200
    assert (await clients[Scope.ADMIN].post("/api/v1/processes/kill", body)).status == 200


async def test_outputs_read_with_read_alone_stay_unread(
    clients: dict[Scope, Client], agent: FakeAgent
) -> None:
    agent.pools.lines[GUID] = ["$ mdadm"]
    for client in clients.values():
        answer = await client.get(f"/api/v1/pools/{GUID}/outputs")
        assert answer.json["outputs"] == ["$ mdadm"]
    assert agent.pools.read_by_operator == [False, True, True]
