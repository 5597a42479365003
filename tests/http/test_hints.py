"""Advice that is given can be followed: what each hint names exists, and does what was promised."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from backy_core.api.app import create_app
from backy_core.api.wording import Request, request_of, worded
from backy_core.pools.views import CreateRequest
from backy_core.sdk.advice import Advice, Hint, Verb, advise
from backy_core.sdk.errors import BackyError
from tests.architecture import ROOT, modules
from tests.fakes.agent import GUID, OTHER, Bench
from tests.http.conftest import Client
from tests.http.fake_agent import KEY, FakeAgent
from tests.http.fake_pools import standing_pool

POOL = f"/api/v1/pools/{GUID}"


def test_every_request_that_can_be_advised_exists(agent: FakeAgent) -> None:
    routes = create_app(agent).url_map.bind("")
    for verb in Verb:
        asked = request_of(Hint(verb, "x"))
        routes.match(asked.path, method=asked.method)


def test_every_verb_is_advised_somewhere() -> None:
    said = "".join(module.text for module in modules(ROOT / "backy_core", "backy_core"))
    assert [verb for verb in Verb if f"Hint(Verb.{verb.name}" not in said] == []


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (Hint(Verb.CLOSE, GUID), f"DELETE {POOL}/mount"),
        (Hint(Verb.LIST_OPERATIONS), "GET /api/v1/operations"),
        (Hint(Verb.TEARDOWN, GUID, (("wipe", True),)), f"DELETE {POOL}?wipe=true"),
        (
            Hint(Verb.TEARDOWN, GUID, (("destroy_others", "a b"), ("destroy_others", "c&d"))),
            f"DELETE {POOL}?destroyOthers=a%20b&destroyOthers=c%26d",
        ),
        (
            Hint(Verb.OPEN, GUID, (("dry_run", True), ("force", True))),
            f'POST {POOL}/mount?dryRun=true with "force": true',
        ),
    ],
)
async def test_a_hint_is_worded_as_the_request_that_the_agent_takes(
    hint: Hint, words: str, client: Client, agent: FakeAgent
) -> None:
    agent.pools.add(standing_pool())
    said = advise("First ", hint, ", then look")
    assert worded(said) == f"First {words}, then look"
    assert str(said) == f"First {hint}, then look" and "/api/" not in str(said)
    asked = request_of(hint)
    assert (await client(asked.method, asked.path, **_body(asked))).status == 200


def test_plain_sentences_stay_as_they_are() -> None:
    assert worded("Plug it in") == "Plug it in"
    assert worded(None) is None
    assert advise("Plug ", advise("it", " in")) == advise("Plug ", "it", " in")


# What the advice says, done over HTTP by an agent in that very situation


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
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
    advice = caught.value.hint
    assert isinstance(advice, Advice), f"no request is advised: {caught.value} ({advice})"
    bench.agent.keys.use(KEY)
    asked = request_of(next(part for part in advice.parts if isinstance(part, Hint)))
    answer = await Client(create_app(bench.agent))(asked.method, asked.path, **_body(asked))
    assert answer.status == 200, (asked, answer.text)


def _body(asked: Request) -> dict[str, Any]:
    return {"json": dict(asked.body)} if asked.method == "POST" else {}
