"""A backend that cannot look: what was seen last is shown, and said to be old."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from backy_core.sdk.errors import BackendFailure, SystemFailure
from backy_core.sdk.models import Unreadable
from tests.fakes.agent import GUID, OTHER, Bench


async def test_what_was_seen_last_is_shown_and_said_to_be_old(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = await bench.start()
    before = await bench.create("A", "B")
    assert before.stale_because is None

    async def fail(*_: object) -> object:
        raise BackendFailure("Backend mdadm failed in backy_inspect", details="KeyError: 'md'")

    with monkeypatch.context() as broken:
        broken.setattr(agent.host, "inspect", fail)
        await agent.observer.refresh()
        during = await agent.pools.get(GUID)
        listed = (await agent.pools.list())[0]
        with pytest.raises(SystemFailure, match="cannot inspect its pools"):
            await bench.unmount()

    assert (during.state, during.drives) == (before.state, before.drives)
    assert during.stale_because is not None
    assert "KeyError" in during.stale_because
    assert listed.stale_because == during.stale_because
    assert set(agent.backend_problems) == {"mdadm"}

    await agent.observer.refresh()
    assert agent.backend_problems == {}
    assert (await agent.pools.get(GUID)).stale_because is None


async def test_an_agent_out_of_descriptors_shows_what_it_saw_and_changes_nothing(
    bench: Bench,
) -> None:
    agent = await bench.start()
    before = await bench.create("A", "B")
    drives = await agent.drives_service.list()
    disks, commands = repr(bench.machine.disks), list(bench.machine.commands)

    bench.machine.out_of_descriptors = True
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "create": lambda: agent.pools.create(bench.request("C", guid=OTHER, wipe=True)),
        "refresh": agent.drives_service.refresh,
        "import": lambda: agent.pools.import_pool(OTHER, None, None),
        "unmount": bench.unmount,
        "delete": bench.delete,
        "add": lambda: bench.add_drive("C", wipe=True),
    }
    for call in calls.values():
        with pytest.raises(SystemFailure, match="cannot be read") as caught:
            await call()
        assert caught.value.details == "Too many open files" and caught.value.hint
    assert (repr(bench.machine.disks), bench.machine.commands) == (disks, commands)
    during = await agent.pools.get(GUID)
    assert (during.state, during.drives) == (before.state, before.drives)
    assert "Too many open files" in (during.stale_because or "")
    listed = await agent.drives_service.list()
    assert [each.drive for each in listed] == [drive.drive for drive in drives]

    bench.machine.out_of_descriptors = False
    assert await bench.delete() is None


async def test_a_pool_whose_drives_cannot_be_read_is_not_gone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is said of it, and nothing done to it, also by an agent that never saw it."""
    agent = await bench.start()
    await bench.create("A", "B")
    assert await bench.unmount() is None
    for restarted in (False, True):
        if restarted:
            agent = await bench.restart()
        with monkeypatch.context() as damaged:
            damaged.setattr(agent.host, "inspect", _doubting("sdxa", "sdxb"))
            await agent.observer.refresh()
            view = await agent.pools.get(GUID)
            assert view.stale_because is not None and "cannot read drive A" in view.stale_because
            before = list(bench.machine.commands)
            for act in (bench.mount, bench.delete):
                with pytest.raises(SystemFailure, match="cannot read drive A"):
                    await act()
            assert await bench.unmount() is None, "nothing holds its drives"
            assert bench.machine.commands == before
            assert set((await bench.available()).items()) == {
                ("A", False),
                ("B", False),
                ("C", True),
            }
        await agent.observer.refresh()
    assert await bench.mount() is None
    assert await bench.delete() is None
    bench.assert_nothing_left("A", "B", "C")


async def test_a_pool_that_runs_and_cannot_be_read_is_left_as_it_is(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = await bench.start()
    await bench.create("A", "B")
    with monkeypatch.context() as damaged:
        damaged.setattr(agent.host, "inspect", _doubting("sdxa", "sdxb"))
        with pytest.raises(SystemFailure, match="cannot read drive A"):
            await bench.unmount()
        assert (await agent.pools.get(GUID)).is_mounted
    assert await bench.unmount() is None


def _doubting(*devices: str) -> Callable[..., Awaitable[tuple[Unreadable, ...]]]:
    async def doubt(*_: object) -> tuple[Unreadable, ...]:
        return tuple(Unreadable(device=device, reason="checksum error") for device in devices)

    return doubt


async def test_a_backend_that_cannot_look_loses_no_pool(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last-known-good lists are served."""
    await bench.start()
    await bench.create()
    before = await bench.agent.pools.get(GUID)
    monkeypatch.setattr("backy_mdadm.inspect.kernel_arrays", _broken)
    await bench.agent.observer.refresh()
    seen = await bench.agent.pools.get(GUID)
    assert replace(seen, stale_because=None) == before
    assert "garbage" in (seen.stale_because or "")
    with pytest.raises(Exception, match="cannot inspect"):
        await bench.agent.pools.delete(GUID)
    assert await bench.state() == "ready"


async def _broken(*_: object) -> object:
    await asyncio.sleep(0)
    raise ValueError("garbage in /proc/mdstat")
