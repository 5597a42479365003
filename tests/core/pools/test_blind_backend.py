"""A backend that cannot look: what was seen last is shown, and said to be old."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from backy_core.sdk.errors import BackendFailure, SystemFailure
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
        refusal = await bench.unmount()

    assert (during.state, during.drives) == (before.state, before.drives)
    assert during.stale_because is not None
    assert "KeyError" in during.stale_because
    assert listed.stale_because == during.stale_because
    assert refusal is not None
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
    assert [each.drive for each in listed] == [each.drive for each in drives]

    bench.machine.out_of_descriptors = False
    assert await bench.delete() is None
