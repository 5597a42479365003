"""Advice that is given can be followed: what each hint names exists, and does what was promised."""

from __future__ import annotations

import ast
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from werkzeug.exceptions import MethodNotAllowed, NotFound

from backy_core.api.app import create_app
from backy_core.pools.views import CreateRequest
from backy_core.sdk.errors import BackyError
from tests.architecture import ROOT, modules
from tests.fakes.agent import GUID, OTHER, Bench
from tests.http.conftest import Client
from tests.http.fakes import KEY, FakeAgent

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
CALL = re.compile(r"(?:(GET|POST|PUT|PATCH|DELETE) )?(/api/v1/[^\s,;\"]+)")
PLACEHOLDER = "x"


def _text(node: ast.expr) -> str:
    """A string as it will read, with ``x`` for what is filled in."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(map(_text, values))
        case ast.FormattedValue(value=value):
            called = ast.unparse(value)
            return f"/api/v1/drives/{PLACEHOLDER}" if "url_of(" in called else PLACEHOLDER
        case ast.IfExp(body=body, orelse=orelse):
            return f"{_text(body)} {_text(orelse)}"
        case ast.BinOp(left=left, right=right):
            return _text(left) + _text(right)
    return ""


def hints() -> dict[str, str]:
    """Every hint of the code by its place."""
    folders = {"backy_core": "backy_core", **{f"plugins/{n}": n for n in ("mdadm", "lvm", "zfs")}}
    found: dict[str, str] = {}
    for folder, package in folders.items():
        for module in modules(ROOT / folder, package):
            if "tests" in Path(module.path).parts:
                continue
            for node in ast.walk(module.tree):
                for keyword in node.keywords if isinstance(node, ast.Call) else ():
                    if keyword.arg == "hint" and (text := _text(keyword.value)):
                        found[f"{module.path.relative_to(ROOT)}:{keyword.value.lineno}"] = text
    return found


HINTS = hints()


def test_hints_are_found() -> None:
    assert len(HINTS) > 40
    assert sum(bool(CALL.search(text)) for text in HINTS.values()) > 10


@pytest.mark.parametrize("text", HINTS.values(), ids=HINTS)
def test_what_a_hint_names_exists(text: str, agent: FakeAgent) -> None:
    assert not re.search(r"[{}]", text), "a placeholder that nobody fills in"
    routes = create_app(agent).url_map.bind("")
    for method, path in CALL.findall(text):
        asked = method or next((each for each in METHODS if _exists(routes, each, path)), "GET")
        assert _exists(routes, asked, path.rstrip(".")), f"there is no {method} {path}"


def _exists(routes: object, method: str, path: str) -> bool:
    try:
        routes.match(path, method=method)  # type: ignore[attr-defined]
    except (NotFound, MethodNotAllowed):
        return False
    return True


# What the advice says, done over HTTP by an agent in that very situation


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path, monkeypatch)
    for serial in ("A", "B/1 %2F", "C"):
        bench.machine.add(serial)
    yield bench
    await bench.stop()


SLASHED = "B/1 %2F"


async def _protected(bench: Bench) -> None:
    await bench.agent.drives_service.protect(SLASHED)


async def _member(bench: Bench) -> None:
    await bench.create("A", SLASHED)


async def _stamped_elsewhere(bench: Bench) -> None:
    bench.stopped_pool("A", SLASHED, guid=OTHER)


async def _running_elsewhere(bench: Bench) -> None:
    """Without a GUID of ours: it is imported by one made of its native id."""
    bench.machine.make_pool(OTHER, "nas:data", "A", SLASHED)
    bench.machine.assemble_all()


async def _deleted_and_returned(bench: Bench) -> None:
    await bench.create("A", SLASHED)
    bench.machine.unplug(SLASHED)
    await bench.agent.observer.refresh()
    assert await bench.delete() is None
    machine = bench.machine
    machine.plug(SLASHED)
    machine.start_array(machine.free_array_name(), [machine.disks[SLASHED]], degraded=True)


@pytest.mark.parametrize(
    ("situation", "then"),
    [
        (_protected, None),
        (_member, None),
        (_stamped_elsewhere, "in_pool"),
        (_running_elsewhere, "in_pool"),
        (_deleted_and_returned, None),
    ],
)
async def test_the_way_to_free_a_drive(
    bench: Bench, situation: Callable[[Bench], Awaitable[None]], then: str | None
) -> None:
    await bench.start()
    await situation(bench)
    await bench.agent.observer.refresh([""])
    await _follow(bench, lambda: bench.agent.pools.create(_wanted(bench)))
    agent = bench.agent
    status = (await agent.drives_service.status(SLASHED)).status
    assert status == (then or "available")
    if then is None:
        assert await agent.pools.dry_run(_wanted(bench))


def _wanted(bench: Bench) -> CreateRequest:
    return bench.request(SLASHED, guid="22222222-2222-4333-8444-555555555555", wipe=True)


async def test_the_way_to_add_a_drive_to_an_unmounted_pool(bench: Bench) -> None:
    await bench.start()
    await bench.create("A", SLASHED)
    assert await bench.unmount() is None
    await _follow(bench, lambda: bench.add_drive("C"))
    assert await bench.state() == "ready"


async def test_the_way_to_mount_a_pool_elsewhere(bench: Bench) -> None:
    await bench.start()
    await bench.create("A")
    elsewhere = str(bench.mounts / "elsewhere")
    await _follow(bench, lambda: bench.mount(GUID, elsewhere))
    assert await bench.mount(GUID, elsewhere) is None


async def test_the_way_to_delete_a_pool_with_a_protected_drive(bench: Bench) -> None:
    agent = await bench.start()
    await bench.create("A", SLASHED)
    await agent.drives_service.protect(SLASHED)
    await _follow(bench, bench.delete)
    assert await bench.delete() is None


async def test_the_lists_that_are_named(bench: Bench) -> None:
    agent = await bench.start()
    await _follow(bench, lambda: agent.pools.create(bench.request("nobody")))
    await _follow(bench, lambda: agent.pools.import_pool(OTHER, None, None))


async def _follow(bench: Bench, refused: Callable[[], Awaitable[object]]) -> None:
    """Do what the refusal advises, over HTTP; it must be answered with success."""
    with pytest.raises(BackyError) as caught:
        await refused()
    bench.agent.api_key = KEY
    found = CALL.search(caught.value.hint or "")
    assert found is not None, f"no call is advised: {caught.value} ({caught.value.hint})"
    method, path = found.groups()
    body: dict[str, Any] = {"json": {}} if method in ("POST", "PATCH") else {}
    answer = await Client(create_app(bench.agent))(method or "GET", path, **body)
    assert answer.status == 200, (path, answer.text)
