"""When what was seen last serves again, and who shares a look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from backy_core.machine import following, inspections
from backy_core.sdk.errors import BackendFailure, SystemFailure
from tests.core.machine.watched import Gate, Machine, observing, until


async def test_what_was_just_seen_counts_until_something_happens(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_DEBOUNCE_S", 30)
    async with observing(machine) as it:
        look, backend = it.observer.inspect, it.backend
        await look("fake")
        asked = backend.asked
        await look("fake", fresh=False)
        assert backend.asked == asked
        await look("fake")
        assert backend.asked == asked + 1
        it.observer.note_action()
        await look("fake", fresh=False)
        assert backend.asked == asked + 2
        it.events.on_mounts()
        await look("fake", fresh=False)
        assert backend.asked == asked + 3
        monkeypatch.setattr(inspections, "_RECENT_S", 0)
        await look("fake", fresh=False)
        assert backend.asked == asked + 4


async def test_an_event_during_a_look_makes_it_old(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_DEBOUNCE_S", 30)
    async with observing(machine) as it:

        async def event() -> None:
            it.events.on_mdstat()

        it.backend.wait = event
        await it.observer.inspect("fake")
        asked = it.backend.asked
        await it.observer.inspect("fake", fresh=False)
        assert it.backend.asked == asked + 1


async def test_a_backend_that_fails_is_asked_again(machine: Machine) -> None:
    async with observing(machine) as it:
        it.backend.reports = SystemFailure("no")
        with pytest.raises(BackendFailure):
            await it.observer.inspect("fake")
        with pytest.raises(BackendFailure):
            await it.observer.inspect("fake", fresh=False)


async def test_an_operation_asks_its_own_backend_and_others_only_after_a_change(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_DEBOUNCE_S", 30)
    async with observing(machine) as it:
        causes: list[tuple[Callable[[], None], bool]] = [
            (lambda: None, False),
            (it.events.on_mdstat, True),
            (it.observer.note_action, True),
        ]
        for event, changes in causes:
            own, others = it.backend.asked, it.other.asked
            event()
            await it.observer.refresh_for("fake")
            assert it.backend.asked == own + 1
            assert (it.other.asked > others) is changes


async def test_a_backend_that_no_event_speaks_for_is_always_asked(machine: Machine) -> None:
    async with observing(machine, silent=3600) as it:
        others = it.other.asked
        await it.observer.refresh_for("fake")
        await it.observer.inspect("other", fresh=False)
        assert it.other.asked == others + 2


async def test_who_inspects_at_once_shares_the_next_look(machine: Machine) -> None:
    async with observing(machine) as it:
        gate = Gate()
        it.backend.wait = gate.pass_through
        asked = it.backend.asked
        first = asyncio.create_task(it.observer.inspect("fake"))
        await until(lambda: it.backend.asked == asked + 1)
        others = [asyncio.create_task(it.observer.inspect("fake")) for _ in range(3)]
        await asyncio.sleep(0.02)
        gate.set()
        await asyncio.gather(first, *others)
        assert it.backend.asked == asked + 2
