"""The listener in an agent on a fake machine: its messages about a pool's life."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from backy_notify.hooks import Listener

from backy_core.config.plugin_tables import PluginTables
from tests.fakes.agent import Bench

from .receiving_servers import Webhook

DEBOUNCE_S = 0.1


class Told:
    """An agent whose messages go to a web server."""

    def __init__(self, directory: Path) -> None:
        self.bench = Bench(directory)
        for serial in ("A", "B"):
            self.bench.machine.add(serial)
        self.webhook = Webhook().up()
        table = {"targets": [self.webhook.url], "debounce_s": DEBOUNCE_S, "host": "nas2"}
        tables = PluginTables.read("backy.toml", {"notify": table}, {})
        self.bench.options["plugins"] = tables
        self._listener: Listener | None = None

    async def start(self) -> None:
        self.close()
        self._listener = Listener()
        self.bench.listeners = (("notify", self._listener),)
        await self.bench.start()

    async def titles(self, count: int) -> list[str]:
        """The messages so far: this many, and no more a while after."""
        await asyncio.to_thread(self.webhook.received.after, count)
        await asyncio.sleep(DEBOUNCE_S * 5)
        return self.webhook.received.titles

    def close(self) -> None:
        for desk in self._listener.desks.values() if self._listener else ():
            desk.close()


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Told]:
    told = Told(tmp_path)
    yield told
    told.bench.machine.interruptions.reset()
    await told.bench.stop()
    told.close()
    told.webhook.down()


async def test_a_pulled_drive_is_told_once_over_restarts(agent: Told) -> None:
    await agent.start()
    await agent.bench.create()
    assert await agent.titles(0) == [], "a first build"
    agent.bench.machine.unplug("B")
    await agent.bench.agent.observer.refresh()
    assert await agent.titles(1) == ["nas2: pool backup-1 is degraded"]
    await agent.bench.stop()
    await agent.start()
    assert len(await agent.titles(1)) == 1


async def test_a_pool_found_degraded_at_boot_is_told_once(agent: Told) -> None:
    await agent.start()
    await agent.bench.create()
    await agent.bench.stop()
    agent.bench.machine.reboot()
    agent.bench.machine.unplug("B")
    await agent.start()
    assert await agent.titles(1) == ["nas2: pool backup-1 is degraded"]
    (_, text) = agent.webhook.received.messages[0]
    assert "Drive B (8.6 GB) is not connected." in text
    assert "backy pools replace backup-1 B NEW-SERIAL" in text


async def test_a_deletion_tells_nothing(agent: Told) -> None:
    await agent.start()
    await agent.bench.create()
    assert await agent.bench.delete() is None
    assert await agent.titles(0) == []


async def test_an_interrupted_creation_is_told_after_the_restart(agent: Told) -> None:
    await agent.start()
    agent.bench.machine.interruptions.crash_at = 6

    async def create() -> None:
        await agent.bench.create()

    assert await agent.bench.until_crash(create())
    agent.bench.machine.interruptions.reset()
    await agent.start()
    assert await agent.titles(1) == [
        "nas2: the agent was interrupted during create of pool backup-1"
    ]
