"""Scoped inspections show what full ones do, and are made where one pool is concerned."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backy_core.machine import following
from backy_core.machine.happened import ANYTHING, NOTHING, History, Touched
from backy_core.machine.snapshot import Snapshot
from tests.core.machine.scoped import World
from tests.core.machine.watched import until

ACTIONS = (
    *("fail", "break_array", "pull", "plug", "create", "stop", "assemble", "copy", "erase"),
    *("write", "garble", "relabel", "rename", "spoil", "lose_events"),
)
SETTLE, ASK = "", "?"


@asynccontextmanager
async def watching() -> AsyncIterator[World]:
    world = World()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(following, "_DEBOUNCE_S", 0)
        await world.observer.start()
        yield world
        await world.observer.stop()


async def settled(world: World) -> None:
    """Wait until everything that was announced has been followed."""
    inspections = world.observer._inspections
    await until(lambda: inspections.is_current("mdadm"))


def shown(snapshot: Snapshot) -> tuple[object, ...]:
    return snapshot.reports, snapshot.problems, snapshot.unreadable, snapshot.kept


@given(
    st.lists(
        st.tuples(st.sampled_from((*ACTIONS, SETTLE, SETTLE, ASK)), st.integers(0, 999)),
        max_size=16,
    )
)
@settings(max_examples=150, deadline=None)
def test_after_any_events_the_snapshot_is_that_of_a_full_inspection(
    steps: list[tuple[str, int]],
) -> None:
    async def compare() -> None:
        async with watching() as world:
            for action, number in steps:
                if action == SETTLE:
                    await asyncio.wait_for(settled(world), 5)
                elif action == ASK:
                    guid = world.guids[number % len(world.guids)]
                    await world.observer.inspect("mdadm", Touched.of(pools=(guid,)))
                else:
                    getattr(world, action)(number)
            await asyncio.wait_for(settled(world), 5)
            in_parts = shown(world.observer.snapshot)
            assert in_parts == shown(await world.observer.refresh())

    asyncio.run(compare())


@pytest.mark.parametrize("action", ["fail", "break_array", "pull"])
async def test_an_event_of_one_pool_has_that_pool_inspected(action: str) -> None:
    async with watching() as world:
        del world.backend.scopes[:]
        getattr(world, action)(0)
        await settled(world)
        scopes = [scope.pools for scope in world.backend.scopes if scope]
        assert scopes and set(scopes) == {frozenset(world.guids[:1])}


async def test_an_array_that_breaks_without_an_event_is_seen() -> None:
    """md says so once the array is clean, and announces nothing then."""
    async with watching() as world:
        del world.backend.scopes[:]
        await world.observer.follow_arrays()
        assert world.observer._inspections.is_current("mdadm")
        array = world.array(world.guids[0])
        array.state = "active"
        await world.observer.follow_arrays()
        assert world.observer._inspections.is_current("mdadm"), "as with each write"
        array.state = "broken"
        await world.observer.follow_arrays()
        await settled(world)
        report = world.observer.snapshot.report_for("mdadm", world.guids[0])
        assert report and report.health == "failed"
        assert [scope and scope.pools for scope in world.backend.scopes] == [
            frozenset(world.guids[:1])
        ]


async def test_an_operation_has_its_own_pool_inspected() -> None:
    async with watching() as world:
        del world.backend.scopes[:]
        await world.observer.inspect("mdadm", Touched.of(pools=world.guids[1:2]))
        await world.observer.inspect("mdadm")
        first, second = world.backend.scopes
        assert first and first.pools == {world.guids[1]}
        assert first.devices >= {world.array(world.guids[1]).name}
        assert second is None


async def test_of_a_new_pool_its_drives_alone_are_inspected() -> None:
    async with watching() as world:
        del world.backend.scopes[:]
        world.create(0)
        await settled(world)
        assert [scope and scope.pools for scope in world.backend.scopes] == [frozenset()]
        assert world.observer.snapshot.report_for("mdadm", world.guids[-1])


@pytest.mark.parametrize("action", ["plug", "spoil", "lose_events", "rename", "erase", "copy"])
async def test_what_is_unclear_has_all_pools_inspected(action: str) -> None:
    async with watching() as world:
        world.stop(0)
        world.pull(0)
        await settled(world)
        del world.backend.scopes[:]
        getattr(world, action)(0)
        await settled(world)
        assert None in world.backend.scopes


async def test_an_event_that_names_nothing_known_has_all_pools_inspected() -> None:
    async with watching() as world:
        for announce in (
            world.events.on_mdstat,
            partial(world.events.on_block, "remove", "sdzz"),
        ):
            del world.backend.scopes[:]
            announce()
            await settled(world)
            assert world.backend.scopes == [None]


async def test_two_at_once_are_not_both_scoped() -> None:
    """Each would join its part with an answer that lacks the other's."""
    async with watching() as world:
        del world.backend.scopes[:]
        first, second = (Touched.of(pools=(guid,)) for guid in world.guids[:2])
        await asyncio.gather(
            world.observer.inspect("mdadm", first), world.observer.refresh_for("mdadm")
        )
        await asyncio.gather(
            world.observer.inspect("mdadm", first), world.observer.inspect("mdadm", second)
        )
        assert None in world.backend.scopes[:2]
        last = world.backend.scopes[-1]
        assert last and last.pools == set(world.guids[:2]), "one look for both"


def test_history_tells_what_is_new_and_nothing_of_long_ago() -> None:
    history = History()
    first, second = Touched.of(devices=("sda",)), Touched(frozenset(), frozenset({"p"}), True)
    history.note(first)
    mark = history.mark
    assert history.since(mark) == NOTHING
    history.note(second)
    assert history.since(mark) == second
    assert history.since(mark - 1) == first | second
    for _ in range(1000):
        history.note(NOTHING)
    assert history.since(mark) == ANYTHING
    assert history.since(history.mark - 1) == NOTHING
