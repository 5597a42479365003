"""Two backends that see one drive: only one of them ever acts on it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import pytest
from backy_mdadm import hooks as mdadm

from backy_core.pools.reading.guids import importable_guid
from backy_core.sdk import hookimpl
from backy_core.sdk.advice import Advice, Hint, Verb
from backy_core.sdk.errors import BackyError, Conflict
from backy_core.sdk.models import (
    BackendInfo,
    DriveId,
    Level,
    MemberReport,
    PoolReport,
    PoolSpec,
    Probe,
    SignatureMatch,
    Tool,
)
from backy_core.sdk.plan import BackendPlan
from tests.fakes.agent import GUID, OTHER, Bench

STACK = "99999999-2222-4333-8444-555555555555"


class Stack:
    """A backend that reports what the test tells it: pools over drives, or over arrays."""

    def __init__(self) -> None:
        self.members: tuple[str, ...] = ()
        self.guid: str | None = STACK

    @hookimpl
    def backy_backend(self) -> BackendInfo:
        return BackendInfo(
            name="stack",
            version="1",
            levels=(Level(name="single", min_drives=1),),
            filesystems=("ext4",),
            capabilities=frozenset({"import"}),
            tools=(Tool(name="mdadm", package="mdadm"),),
            signature_types=("stack_member",),
        )

    @hookimpl
    async def backy_inspect(self, probe: Probe) -> Sequence[PoolReport]:
        if not self.members:
            return ()
        members = tuple(MemberReport(device=name, state="active") for name in self.members)
        return (
            PoolReport(
                native_id=STACK,
                guid=self.guid,
                name="upper",
                level="single",
                presence="stopped",
                health="inactive",
                expected_members=len(members),
                members=members,
            ),
        )

    @hookimpl
    def backy_plan_create(self, pool: PoolSpec, drives: Sequence[DriveId]) -> BackendPlan:
        raise AssertionError

    @hookimpl
    def backy_plan_open(self, pool: PoolSpec, report: PoolReport, degraded: bool) -> BackendPlan:
        raise AssertionError

    @hookimpl
    def backy_plan_close(self, pool: PoolSpec, report: PoolReport) -> BackendPlan:
        raise AssertionError

    @hookimpl
    def backy_plan_teardown(self, pool: PoolSpec, report: PoolReport) -> BackendPlan:
        stamp = SignatureMatch(type="stack_member", uuid=pool.identity)
        return BackendPlan(delivers="block", stamps=(stamp,), steps=(), goal=())


@pytest.fixture
def stack(bench: Bench) -> Stack:
    stack = Stack()
    bench.backends = (("mdadm", mdadm), ("stack", stack))
    return stack


def _on_drives(bench: Bench) -> tuple[str, ...]:
    return tuple(bench.machine.disks[serial].name for serial in ("A", "B"))


def _on_the_array(bench: Bench) -> tuple[str, ...]:
    bench.machine.assemble_all()
    return tuple(bench.machine.arrays)


LAYOUTS = pytest.mark.parametrize("layout", [_on_drives, _on_the_array])


async def _refused(call: Callable[[], Awaitable[object]], *words: str) -> None:
    with pytest.raises(Conflict) as caught:
        answer = await call()
        if isinstance(answer, BackyError):
            raise answer
    assert all(word in str(caught.value) for word in words), caught.value
    assert isinstance(caught.value.hint, Advice)
    assert Verb.FORGET in [part.verb for part in caught.value.hint.parts if isinstance(part, Hint)]


async def test_the_lower_array_of_a_remembered_pool_is_not_imported(
    bench: Bench, stack: Stack
) -> None:
    """The one that was wiped through an import of its array."""
    bench.machine.make_pool(OTHER, "nas:lower", "A", "B")
    stack.members = _on_drives(bench)
    agent = await bench.start()
    await agent.pools.import_pool(STACK, "precious", None)
    before = repr(bench.machine.disks)
    for running in (False, True):
        if running:
            bench.machine.assemble_all()
        await agent.observer.refresh([""])
        assert await agent.pools.importable() == ()
        reports = agent.observer.snapshot.reports["mdadm"]
        assert len(reports) == 1
        lower = importable_guid("mdadm", reports[0])
        await _refused(
            partial(agent.pools.import_pool, lower, None, None),
            "shares drive A with pool precious",
        )
    assert (repr(bench.machine.disks), bench.machine.commands) == (before, [])


@LAYOUTS
async def test_what_another_backend_finds_on_a_known_pool_is_not_imported(
    bench: Bench, stack: Stack, layout: Callable[[Bench], tuple[str, ...]]
) -> None:
    agent = await bench.start()
    await bench.create("A", "B")
    stack.members = layout(bench)
    await agent.observer.refresh()
    assert await agent.pools.importable() == ()
    if layout is _on_drives:
        await _refused(lambda: agent.pools.import_pool(STACK, None, None), "shares drive A")
    else:
        with pytest.raises(BackyError):
            await agent.pools.import_pool(STACK, None, None)
    assert set(bench.remembered) == {GUID}


async def test_nothing_is_deleted_or_added_through_a_second_claim(
    bench: Bench, stack: Stack
) -> None:
    """Both were remembered before anybody could know: the other backend's drive came later."""
    agent = await bench.start()
    await bench.create("A", "B")
    stack.members = (bench.machine.disks["C"].name,)
    await agent.observer.refresh()
    await agent.pools.import_pool(STACK, "upper", None)
    assert await bench.unmount() is None
    stack.members = _on_drives(bench)
    await agent.observer.refresh()
    commands = list(bench.machine.commands)
    await _refused(bench.delete, "shares drive A", "stack")
    await _refused(lambda: bench.delete(STACK), "shares drive A", "mdadm")
    assert bench.machine.commands == commands
    assert await bench.mount() is None
    commands = list(bench.machine.commands)
    bench.machine.unplug("B")
    bench.machine.plug("B")
    stack.members = stack.members[:1]
    await agent.observer.refresh()
    await _refused(lambda: bench.add_drive("B"), "shares drive A")
    assert bench.machine.commands == commands
    await agent.pools.forget(STACK)
    assert await bench.add_drive("B") is None
    stack.members = ()
    await agent.observer.refresh()
    assert await bench.delete() is None
