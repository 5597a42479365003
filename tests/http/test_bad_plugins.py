"""A plugin that raises, hangs or lies fails its own operation only, as a client sees it.

The whole agent on a fake machine: mdadm works, and beside it is a backend whose hooks go wrong.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from backy_core.api.app import create_app
from backy_core.sdk import hookimpl
from backy_core.sdk.errors import BackendFailure
from backy_core.sdk.models import BackendInfo, DriveId, Level, PoolReport, PoolSpec, Probe, Tool
from backy_core.sdk.plan import BackendPlan, DriveRef, Exec, Step
from tests.fakes.agent import GUID, OTHER, Bench
from tests.http.conftest import Answer, Client
from tests.http.fake_agent import KEY

_DEADLINE_S = 1.0
POOL = f"/api/v1/pools/{GUID}"
STRANGER = DriveId(serial="not yours", size=1)


class Toy:
    """A backend; each test makes one of its hooks go wrong."""

    def __init__(self) -> None:
        self.create: Callable[[], Any] = lambda: BackendPlan(steps=())
        self.look: Callable[[], Any] = tuple

    @hookimpl
    def backy_backend(self) -> BackendInfo:
        return BackendInfo(
            name="toy",
            version="0.7",
            levels=(Level(name="single", min_drives=1),),
            filesystems=("ext4",),
            capabilities=frozenset({"degraded_open"}),
            tools=(Tool(name="ls", package="coreutils"), Tool(name="toyadm", package="toy-tools")),
            signature_types=("toy_member",),
        )

    @hookimpl
    def backy_plan_create(self, pool: PoolSpec) -> BackendPlan:
        plan: BackendPlan = self.create()
        return plan

    @hookimpl
    async def backy_inspect(self, probe: Probe) -> Sequence[PoolReport]:
        reports: Sequence[PoolReport] = self.look()
        return reports

    @hookimpl
    def backy_plan_open(self) -> BackendPlan:
        return BackendPlan(steps=())

    @hookimpl
    def backy_plan_close(self) -> BackendPlan:
        return BackendPlan(steps=())

    @hookimpl
    def backy_plan_teardown(self) -> BackendPlan:
        return BackendPlan(steps=())


class Half:
    """A plugin without its hooks."""


@pytest.fixture
def toy() -> Toy:
    return Toy()


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy: Toy) -> AsyncIterator[Bench]:
    """An agent with both backends and the blank drives A, B and C."""
    monkeypatch.setattr("backy_core.plugins.host.LoadedBackend.missing_tools", _missing)
    bench = Bench(tmp_path)
    bench.backends += (("toy", toy), ("half", Half()))
    for serial in ("A", "B", "C"):
        bench.machine.add(serial)
    await bench.start(plugin_deadline_s=_DEADLINE_S, inspect_deadline_s=_DEADLINE_S)
    yield bench
    await bench.stop()


def _missing(backend: Any) -> tuple[Tool, ...]:
    """The programs of the fake machine: everything but the toy's own."""
    return tuple(tool for tool in backend.info.tools if tool.name == "toyadm")


@pytest.fixture
def client(bench: Bench) -> Client:
    bench.agent.keys.use(KEY)
    return Client(create_app(bench.agent))


async def create(
    client: Client, bench: Bench, backend: str, *serials: str, guid: str = GUID
) -> Answer:
    """Ask for a pool; returns when nothing works on it any more."""
    answer = await client.post(
        "/api/v1/pools",
        {
            "label": "shelf",
            "poolGroupGuid": guid,
            "driveSerials": list(serials),
            "mountPath": bench.path(guid),
            "backend": backend,
        },
    )
    await bench.settled()
    return answer


async def told(client: Client) -> dict[str, Any]:
    """The agent's descriptions of its backends, by name."""
    answer = await client.get("/api/v1/backends")
    return {backend["name"]: backend for backend in answer.json["backends"]}


async def test_a_backend_tells_all_there_is_to_know(client: Client) -> None:
    toy = (await told(client))["toy"]
    assert (toy["version"], toy["origin"], toy["capabilities"]) == (
        "0.7",
        "builtin",
        ["degraded_open"],
    )
    assert toy["tools"] == [
        {"name": "ls", "package": "coreutils", "installed": True},
        {"name": "toyadm", "package": "toy-tools", "installed": False},
    ]
    assert toy["missingTools"] == [{"name": "toyadm", "package": "toy-tools"}]
    (failed,) = (await client.get("/api/v1/backends")).json["failedPlugins"]
    assert (failed["name"], failed["origin"]) == ("half", "builtin")
    assert "does not implement backy_backend" in failed["reason"]


def raises() -> BackendPlan:
    raise ZeroDivisionError("a bug")


def hangs() -> BackendPlan:
    time.sleep(3 * _DEADLINE_S)
    return BackendPlan(steps=())


def lies() -> str:
    return "a plan"


def steals() -> BackendPlan:
    step = Step(id="make", title="Making", run=Exec(argv=("toyadm", DriveRef(drive=STRANGER))))
    return BackendPlan(steps=(step,))


@pytest.mark.parametrize("wrong", [raises, hangs, lies, steals])
async def test_a_plan_that_goes_wrong_fails_its_own_request(
    client: Client, bench: Bench, toy: Toy, monkeypatch: pytest.MonkeyPatch, wrong: Any
) -> None:
    monkeypatch.setattr("backy_core.plugins.host.LoadedBackend.missing_tools", lambda self: ())
    toy.create = wrong
    refused = await create(client, bench, "toy", "C", guid=OTHER)
    assert refused.status >= 400
    assert "toy" in refused.error["message"]
    made = await create(client, bench, "mdadm", "A", "B")
    assert made.status < 300, made.text
    assert (await client.get(POOL)).json["state"] == "ready"
    drives = (await client.get("/api/v1/drives")).json["blockdevices"]
    assert {d["serial"]: d["available"] for d in drives}["C"], "the failed request keeps its drive"


def looks_and_hangs() -> tuple[PoolReport, ...]:
    time.sleep(3 * _DEADLINE_S)
    return ()


@pytest.mark.parametrize(
    ("look", "why"),
    [
        (raises, "failed in backy_inspect"),
        (looks_and_hangs, "did not answer backy_inspect in time"),
        (lies, "not PoolReport"),
    ],
    ids=["raises", "blocks", "lies"],
)
async def test_a_backend_that_cannot_look_disturbs_no_other(
    client: Client, bench: Bench, toy: Toy, look: Any, why: str
) -> None:
    toy.look = look
    await bench.agent.observer.refresh()
    backends = await told(client)
    assert why in backends["toy"]["problem"]
    assert backends["mdadm"]["problem"] is None
    made = await create(client, bench, "mdadm", "A", "B")
    assert made.status < 300, made.text
    pool = (await client.get(POOL)).json
    assert pool["state"] == "ready"
    assert "staleBecause" not in pool


async def test_while_a_backend_blocks_reads_are_answered(
    client: Client, bench: Bench, toy: Toy
) -> None:
    began, release = threading.Event(), threading.Event()
    released: list[bool] = []

    def block() -> tuple[PoolReport, ...]:
        began.set()
        released.append(release.wait(20))
        return ()

    toy.look = block
    task = asyncio.ensure_future(bench.agent.observer.refresh())
    while not began.is_set():
        await asyncio.sleep(0.01)
    assert (await client.get("/api/v1/pools")).json == []
    release.set()
    await task
    while not released:
        await asyncio.sleep(0.01)
    assert released == [True], "the read waited for the backend"


async def test_a_pool_of_a_backend_that_cannot_look_is_shown_as_last_seen(
    client: Client, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await create(client, bench, "mdadm", "A", "B")).status < 300
    before = (await client.get(POOL)).json

    async def fail(*_: object) -> object:
        raise BackendFailure("Backend mdadm failed in backy_inspect", details="KeyError: 'md'")

    monkeypatch.setattr(bench.agent.host, "inspect", fail)
    await bench.agent.observer.refresh()
    after = (await client.get(POOL)).json
    because = after.pop("staleBecause")
    assert after == before
    assert "mdadm" in because
    assert "KeyError" in because
    (listed,) = (await client.get("/api/v1/pools")).json
    assert listed["staleBecause"] == because
    assert "KeyError" in (await told(client))["mdadm"]["problem"]
    refused = await client.delete(f"{POOL}/mount")
    assert "KeyError" in refused.text
    assert (await client.get(POOL)).json["state"] == "ready"
