"""The pages: who sees them, what stands in them, and what browsers are told about them."""

from __future__ import annotations

import gzip
import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from quart import Quart

from backy_core.store.keys import Scope
from backy_core.web import pages, rendering
from tests.http.browser import Browser
from tests.http.conftest import Client
from tests.http.fake_agent import FakeAgent
from tests.http.fake_pools import GUID, standing_pool

WEB = Path(pages.__file__).parent
STATIC = WEB / "static"
SCRIPTS = sorted(path for path in STATIC.iterdir() if path.suffix == ".js")
PATHS = [path.replace("<guid>", GUID) for path in pages.PAGES]
MOST_BYTES = 60_000
"""Of the first page with all that it loads."""
WRITES_MARKUP = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|"
    r"setHTML|srcdoc|\beval\(|new Function|javascript:|\.style\b|setAttribute\(\"on"
)


@pytest.fixture
async def browser(app: Quart) -> Browser:
    made = Browser(app)
    await made.sign_in()
    return made


async def as_scope(app: Quart, agent: FakeAgent, scope: Scope) -> Browser:
    _, secret = await agent.keys.create(f"as-{scope}", scope)
    made = Browser(app)
    await made.sign_in(secret)
    return made


@pytest.mark.parametrize("path", PATHS)
async def test_whoever_has_not_signed_in_is_asked_to(
    app: Quart, browser: Browser, path: str
) -> None:
    stranger = await Browser(app).get(path)
    assert stranger.status == 200
    assert 'id="sign-in"' in stranger.text and "data-admin" not in stranger.text
    assert 'id="sign-in"' not in (await browser.get(path)).text


async def test_a_key_opens_the_pages_too(client: Client) -> None:
    assert 'id="sign-in"' not in (await client.get("/")).text


@pytest.mark.parametrize("path", [*PATHS, "/web/style.css", "/web/words.js", "/web/icon.svg"])
async def test_browsers_are_told_to_be_strict(browser: Browser, path: str) -> None:
    headers = (await browser.get(path)).headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": "'self' data:",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
    }
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", PATHS)
async def test_no_page_has_script_or_style_in_it(browser: Browser, path: str) -> None:
    text = (await browser.get(path)).text
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text)
    assert re.findall(r"<script[^>]*>(.*?)</script>", text, re.DOTALL) == [""]
    assert not re.search(r"(?:src|href)=\"(?:https?:|//)", text), "works without internet"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_write_text_alone(path: Path) -> None:
    assert WRITES_MARKUP.findall(path.read_text()) == []


def test_markup_that_a_script_writes_would_be_seen() -> None:
    assert WRITES_MARKUP.search("row.innerHTML = drive.serial")


async def test_pages_hold_nothing_that_a_drive_or_a_client_says(
    browser: Browser, agent: FakeAgent
) -> None:
    """So nothing of it can be read as markup: scripts fetch it as JSON."""
    agent.pools.add(replace(standing_pool(), label="<b>label"))
    for path in (*PATHS, "/pools/%3Cb%3Elabel"):
        answer = await browser.get(path)
        assert answer.status == 200
        assert "label<" not in answer.text and "<b>" not in answer.text


def test_templates_escape_what_they_are_given() -> None:
    template = rendering._templates().from_string("{{ label }}")
    assert template.render(label="<b>") == "&lt;b&gt;"


async def test_only_who_may_change_things_sees_the_way_there(app: Quart, agent: FakeAgent) -> None:
    admin, operate = Scope.ADMIN, Scope.OPERATE
    marks = {
        "/": {"data-operate": operate, "data-admin": admin, 'href="/create"': admin},
        "/drives": {'data-action="refresh"': operate},
    }
    for scope in Scope:
        viewer = await as_scope(app, agent, scope)
        for path, needed in marks.items():
            text = (await viewer.get(path)).text
            shown = {mark: mark in text for mark in needed}
            assert shown == {mark: scope.covers(least) for mark, least in needed.items()}


async def test_a_page_that_the_browser_has_is_not_sent_again(browser: Browser) -> None:
    first = await browser.get("/web/style.css")
    again = await browser.get("/web/style.css", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.text) == (304, "")


async def test_files_of_no_such_name(browser: Browser) -> None:
    for name in ("nothing.js", "..%2Frendering.py", "english.toml"):
        assert (await browser.get(f"/web/{name}")).status == 404


async def test_the_first_page_is_light(app: Quart, browser: Browser) -> None:
    raw = app.test_client()
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())

    async def fetched(path: str) -> bytes:
        headers = {"Cookie": cookie, "Accept-Encoding": "gzip"}
        reply = await raw.get(path, headers=headers)
        assert reply.headers["Content-Encoding"] == "gzip"
        assert reply.headers["Vary"] == "Accept-Encoding"
        return bytes(await reply.get_data(as_text=False))

    first = await fetched("/")
    names = ["/", *sorted(loaded_by("overview.js")), "/web/style.css", "/web/icon.svg"]
    sizes = {name: len(await fetched(name)) for name in names}
    assert b"<!DOCTYPE html>" in gzip.decompress(first)
    assert sum(sizes.values()) < MOST_BYTES, sizes


def loaded_by(name: str) -> set[str]:
    """A script and all that it imports."""
    names, waiting = set(), [name]
    while waiting:
        script = waiting.pop()
        names.add(f"/web/{script}")
        if script != "words.js":
            imported = re.findall(r'from "\./([\w-]+\.js)"', (STATIC / script).read_text())
            waiting += [module for module in imported if f"/web/{module}" not in names]
    return names


def texts() -> dict[str, Any]:
    return tomllib.loads((WEB / "english.toml").read_text())


def flat(table: dict[str, Any], prefix: str = "") -> dict[str, str]:
    return {
        key: text
        for name, value in table.items()
        for key, text in (
            flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
        ).items()
    }


def test_every_text_that_scripts_say_exists_and_is_said() -> None:
    known = set(flat(texts()["script"]))
    code = "\n".join(path.read_text() for path in SCRIPTS)
    named = set(re.findall(r'\b(?:say|sayIf)\(\s*"([\w.-]+)"', code))
    assert named <= known
    counted = {
        f"{key}.{form}"
        for key in re.findall(r'\bcount\(\s*"([\w.-]+)"', code)
        for form in ("one", "other")
    }
    assert counted <= known
    made_up = tuple(re.findall(r"`([\w-]+\.)\$\{", code))
    in_code = {key for key in known if f'"{key}"' in code}
    buttons = {f"action.{name}" for name in re.findall(r'\bact\("([\w-]+)"', code)}
    said = counted | in_code | buttons | {key for key in known if key.startswith(made_up)}
    assert known - said == set()
    assert buttons <= known


async def test_words_reach_the_scripts(browser: Browser) -> None:
    text = (await browser.get("/web/words.js")).text
    words = json.loads(text.removeprefix("export default ").removesuffix(";\n"))
    assert words == texts()["script"]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_short_and_their_imports_exist(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 400
    for module in re.findall(r'from "\./([\w-]+)\.js"', text):
        assert module == "words" or (STATIC / f"{module}.js").is_file()
