"""What makes the observer look again: events, progress, time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from backy_core.machine import following, poller
from backy_core.sdk.models import PoolReport
from tests.core.machine.watched import GUID, Gate, Machine, observing, report, until


@pytest.mark.parametrize("announce", ["block", "lost", "mdstat"])
async def test_events_make_it_look(machine: Machine, announce: str) -> None:
    async with observing(machine) as it:
        machine.bears = {"sda": "ext4"}
        it.backend.reports = [report()]
        seen = it.observer.snapshot.generation
        match announce:
            case "block":
                it.events.on_block("change", "sda")
            case "lost":
                it.events.on_block("change", "")
            case "mdstat":
                it.events.on_mdstat()
        await until(lambda: it.observer.snapshot.generation > seen)
        assert it.observer.snapshot.report_for("fake", GUID) is not None
        fresh = {"block": ["sda"], "lost": ["sda", "sdb"]}.get(announce, [])
        assert sorted(machine.probed[2:]) == fresh


async def test_a_burst_of_events_is_one_look(machine: Machine) -> None:
    async with observing(machine) as it:
        asked = it.backend.asked
        for _ in range(50):
            it.events.on_block("change", "sda")
        await until(lambda: it.backend.asked > asked)
        await asyncio.sleep(0.05)
        assert it.backend.asked == asked + 1


async def test_events_that_an_operation_causes_wait_for_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_QUIET_S", 30)
    async with observing(machine) as it:
        reads = machine.reads
        with it.observer.quiet():
            it.events.on_block("change", "sda")
            await asyncio.sleep(0.1)
            assert machine.reads == reads
        await until(lambda: machine.reads > reads)


async def test_events_are_followed_during_a_long_operation(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_QUIET_S", 0.05)
    async with observing(machine) as it:
        reads = machine.reads
        with it.observer.quiet():
            it.events.on_block("change", "sda")
            await until(lambda: machine.reads > reads)


@pytest.mark.parametrize(("longest_s", "followed"), [(30.0, False), (0.3, True)])
async def test_who_looks_at_the_outcome_needs_no_events_for_a_while(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, longest_s: float, followed: bool
) -> None:
    """The other backends are not asked meanwhile, so not for ever."""
    monkeypatch.setattr(following, "_QUIET_S", 1.0)
    monkeypatch.setattr(following, "_LONGEST_QUIET_S", longest_s)
    async with observing(machine) as it:
        asked = it.backend.asked
        with it.observer.quiet():
            it.events.on_block("change", "sda")
            for _ in range(15):
                await it.observer.refresh_drives()
                await asyncio.sleep(0.1)
            assert (it.backend.asked > asked) is followed
        await until(lambda: it.backend.asked > asked)


async def test_an_event_that_a_look_has_seen_makes_no_other(machine: Machine) -> None:
    async with observing(machine) as it:
        with it.observer.quiet():
            it.events.on_block("change", "sda")
            await asyncio.sleep(0.01)
            await it.observer.refresh()
        reads = machine.reads
        await asyncio.sleep(0.1)
        assert machine.reads == reads


async def test_an_event_during_a_look_is_followed_by_another(machine: Machine) -> None:
    async with observing(machine) as it:
        gate = Gate()
        it.backend.wait = gate.pass_through
        asked = it.backend.asked
        it.events.on_mdstat()
        await until(lambda: it.backend.asked == asked + 1)
        it.backend.reports = [report()]
        it.events.on_mdstat()
        gate.set()
        await until(lambda: it.observer.snapshot.report_for("fake", GUID))


@pytest.mark.parametrize("facts", [{"sync_percent": 0.0}, {"health": "recovering"}])
async def test_progress_is_followed_without_events(machine: Machine, facts: dict[str, Any]) -> None:
    async with observing(machine) as it:
        it.backend.reports = [report(**facts)]
        await it.observer.refresh()
        others = it.other.asked
        it.backend.reports = [report()]
        await until(lambda: it.observer.snapshot.reports["fake"][0] == _with_drive(report()))
        asked = it.backend.asked
        await asyncio.sleep(0.1)
        assert (it.backend.asked, it.other.asked) == (asked, others)


async def test_progress_that_was_just_looked_at_is_not_looked_at_again(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller, "_FRESH_S", 30)
    async with observing(machine) as it:
        it.backend.reports = [report(sync_percent=1.0)]
        await it.observer.inspect("fake")
        asked = it.backend.asked
        await asyncio.sleep(0.1)
        assert it.backend.asked == asked


def _with_drive(plain: PoolReport) -> PoolReport:
    (member,) = plain.members
    drive = {"serial": "A", "wwn": None, "size": 1 << 30}
    return PoolReport.model_validate(
        {**plain.model_dump(), "members": [{**member.model_dump(), "drive": drive}]}
    )


async def test_nothing_happens_after_the_end(machine: Machine) -> None:
    async with observing(machine, drives_rescan_s=0.02) as it:
        it.backend.wait = lambda: asyncio.sleep(60)
        pending = asyncio.create_task(it.observer.refresh())
        await asyncio.sleep(0.02)
    assert pending.done()
    reads = machine.reads
    await asyncio.sleep(0.1)
    assert machine.reads == reads
    assert len(asyncio.all_tasks()) == 1
