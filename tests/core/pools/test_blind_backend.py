"""A backend that cannot look: what was seen last is shown, and said to be old."""

from __future__ import annotations

import pytest

from backy_core.sdk.errors import BackendFailure
from tests.fakes.agent import GUID, Bench


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
