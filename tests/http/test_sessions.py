"""Signing in by a browser: what the cookie permits, from where, and until when."""

from __future__ import annotations

import json

import pytest
from quart import Quart

from backy_core.api import sessions
from backy_core.api.auth import bears_key
from backy_core.api.sessions import COOKIE, Sessions
from backy_core.store.keys import Scope
from tests.fakes.clock import FakeClock
from tests.http.browser import HOST, SESSION, Browser
from tests.http.conftest import Client
from tests.http.fake_agent import KEY, FakeAgent
from tests.http.fake_pools import GUID, standing_pool
from tests.http.live import served

POOL = f"/api/v1/pools/{GUID}"


@pytest.fixture
async def browser(app: Quart, agent: FakeAgent) -> Browser:
    agent.pools.add(standing_pool())
    made = Browser(app)
    assert (await made.sign_in()).json == {"success": True, "key": "api-key", "scope": "admin"}
    return made


async def test_the_cookie_stands_for_the_key(browser: Browser) -> None:
    assert (await browser.get(SESSION)).json == {"key": "api-key", "scope": "admin"}
    assert (await browser.get("/api/v1/pools")).status == 200
    assert (await browser.delete(f"{POOL}/mount")).status == 200


async def test_who_signed_in_is_in_the_audit_log(browser: Browser, agent: FakeAgent) -> None:
    await browser.sign_in("wrong")
    text = agent.audit_file.read_text()
    [line] = map(json.loads, text.splitlines())
    assert (line["key"], line["method"], line["path"]) == ("api-key", "POST", SESSION)
    assert line["outcome"] == "done"
    assert KEY not in text


async def test_scripts_and_other_sites_do_not_get_the_cookie(app: Quart) -> None:
    plain = (await Browser(app).sign_in()).headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(plain.split("; "))
    assert "Secure" not in plain
    by_proxy = await Browser(app, f"https://{HOST}").sign_in()
    assert "Secure" in by_proxy.headers["Set-Cookie"].split("; ")


@pytest.mark.parametrize("key", ["wrong", "", KEY.upper()])
async def test_a_wrong_key_signs_nobody_in(app: Quart, key: str) -> None:
    answer = await Browser(app).sign_in(key)
    assert (answer.status, answer.error["code"]) == (401, "UNAUTHORIZED")
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "origin",
    [None, "null", "http://evil.example", f"http://{HOST}.evil.example", "http://backy.example:80"],
)
async def test_another_page_changes_nothing(browser: Browser, origin: str | None) -> None:
    browser.origin = origin
    for method, path in (("DELETE", f"{POOL}/mount"), ("POST", f"{POOL}/mount")):
        answer = await browser(method, path)
        assert (answer.status, answer.error["code"]) == (403, "FORBIDDEN")
    assert (await browser.sign_in()).status == 403
    assert (await browser.get("/api/v1/pools")).status == 200  # which that page cannot read


async def test_a_form_of_another_page_is_not_json(browser: Browser) -> None:
    answer = await browser("POST", f"{POOL}/mount", form={"mountPath": "/mnt/x"})
    assert answer.status == 415


async def test_the_key_needs_no_origin(client: Client, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    answer = await client.delete(f"{POOL}/mount", headers={"Origin": "http://evil.example"})
    assert answer.status == 200


async def test_a_session_has_the_scope_of_its_key(app: Quart, agent: FakeAgent) -> None:
    _, secret = await agent.keys.create("viewer", Scope.READ)
    viewer = Browser(app)
    assert (await viewer.sign_in(secret)).json["scope"] == "read"
    assert (await viewer.get("/api/v1/pools")).status == 200
    assert (await viewer.delete(POOL)).error["code"] == "INSUFFICIENT_SCOPE"


@pytest.mark.parametrize("change", ["revoke", "rotate"])
async def test_a_session_ends_with_its_key(app: Quart, agent: FakeAgent, change: str) -> None:
    _, secret = await agent.keys.create("desk", Scope.OPERATE)
    desk = Browser(app)
    await desk.sign_in(secret)
    await getattr(agent.keys, change)("desk")
    assert (await desk.get("/api/v1/pools")).status == 401


async def test_signing_out_ends_the_session_for_good(browser: Browser) -> None:
    cookies = dict(browser.cookies)
    assert (await browser.delete(SESSION)).status == 200
    assert browser.cookies == {}
    browser.cookies = cookies
    assert (await browser.get("/api/v1/pools")).status == 401


async def test_signing_out_ends_what_the_session_follows(app: Quart, browser: Browser) -> None:
    async with served(app) as site:
        cookie = f"{COOKIE}={browser.cookies[COOKIE]}"
        follower = await site.follow(by={"Cookie": cookie})
        other = await site.follow()
        assert (await follower.next()).name == (await other.next()).name == "snapshot"
        await browser.delete(SESSION)
        assert await follower.ended()
        assert not other.writer.is_closing()


async def test_the_server_trusts_a_signed_in_browser(browser: Browser, agent: FakeAgent) -> None:
    held: Sessions = browser.app.extensions[sessions.EXTENSION]
    cookie = f"theme=dark; {COOKIE}={browser.cookies[COOKIE]}".encode()
    assert bears_key([(b"cookie", cookie)], agent.keys, held)
    assert not bears_key([(b"cookie", b"backy-session=x")], agent.keys, held)


async def test_unused_sessions_end(agent: FakeAgent) -> None:
    clock = FakeClock()
    held = Sessions(agent.keys, clock)
    session, _ = held.begin(KEY) or pytest.fail("the key is right")
    clock.passed += sessions.IDLE_S - 1
    assert held.caller_of(session)
    clock.passed += sessions.IDLE_S - 1
    assert held.caller_of(session)
    clock.passed += sessions.IDLE_S + 1
    assert held.caller_of(session) is None


async def test_too_many_sessions_end_the_one_unused_for_the_longest(agent: FakeAgent) -> None:
    held = Sessions(agent.keys, agent.clock)
    begun = [held.begin(KEY) or pytest.fail("the key is right") for _ in range(2)]
    (first, _), (second, _) = begun
    assert held.caller_of(first)
    for _ in range(sessions.MOST_SESSIONS - 1):
        held.begin(KEY)
    assert held.caller_of(first)
    assert held.caller_of(second) is None
