"""Calls that are sent again join what does the same already, at the start of the agent too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from backy_core.pools import service
from backy_core.pools.lifecycle.create import ROLLED_BACK
from backy_core.sdk.errors import Conflict
from tests.fakes.agent import GUID, Bench

THIRD = "22222222-2222-4333-8444-555555555555"
Call = Callable[[], Awaitable[object]]


async def _crash_at(bench: Bench, work: Call, point: str) -> None:
    interruptions = bench.machine.interruptions

    def die() -> None:
        interruptions.crash_at = len(interruptions.reached) - 1

    interruptions.when(point, die)

    async def awaited() -> None:
        await work()

    assert await bench.until_crash(awaited()), f"nothing like {point} happened"
    interruptions.reset()


async def _recovering(bench: Bench, command: str) -> asyncio.Event:
    """The next agent, whose recovery waits in ``command`` until the event is set."""
    gate = bench.fakes.gates[command] = asyncio.Event()
    agent = bench.build()
    await agent.start()
    while not any(command in each for each in bench.machine.commands):
        await asyncio.sleep(0.001)
    return gate


async def _after(gate: asyncio.Event, call: Awaitable[object]) -> object:
    """The call's result; the call must wait for the gate."""
    task = asyncio.ensure_future(call)
    for _ in range(50):
        await asyncio.sleep(0)
    assert not task.done(), task
    gate.set()
    async with asyncio.timeout(10):
        return await task


async def test_an_unmount_joins_the_recovery_of_one(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    await _crash_at(bench, bench.unmount, "after umount")
    bench.machine.commands.clear()
    gate = await _recovering(bench, "mdadm --stop")
    with pytest.raises(Conflict):
        await bench.agent.pools.delete(GUID)
    assert await _after(gate, bench.unmount()) is None
    assert await bench.state() == "unmounted" and not bench.machine.arrays


async def test_a_call_does_not_wait_for_ever(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of the dead agent may never end."""
    await bench.start()
    await bench.create()
    await _crash_at(bench, bench.unmount, "after umount")
    bench.machine.commands.clear()
    gate = await _recovering(bench, "mdadm --stop")
    monkeypatch.setattr(service, "_JOIN_S", 0.01)
    for call in (bench.unmount(), bench.mount()):
        with pytest.raises(Conflict, match="unmount is running"):
            await call
    gate.set()
    await bench.settled()


async def test_a_delete_joins_the_recovery_of_one(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    await _crash_at(bench, bench.delete, "after umount")
    bench.machine.commands.clear()
    gate = await _recovering(bench, "mdadm --stop")
    with pytest.raises(Conflict):
        await bench.agent.pools.unmount(GUID)
    assert await _after(gate, bench.delete()) is None
    assert await bench.state() == "deleted"
    bench.assert_nothing_left("A", "B")


async def test_an_addition_joins_the_recovery_of_one(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    bench.machine.unplug("B")
    await bench.agent.observer.refresh()
    await _crash_at(bench, lambda: bench.add_drive("C"), "recorded begun add-drive")
    agent = bench.build()
    await agent.start()
    assert await bench.add_drive("C") is None
    await bench.settled()
    assert bench.remembered[GUID].drive_serials == ("A", "C")


async def test_a_creation_joins_its_own_roll_back(bench: Bench) -> None:
    await bench.start()
    await _crash_at(bench, bench.create, "after mkfs")
    bench.machine.commands.clear()
    gate = await _recovering(bench, "mdadm --stop")
    with pytest.raises(Conflict):
        await bench.agent.pools.create(bench.request(label="another"))
    _, op = await bench.agent.pools.create(bench.request())
    assert op is not None and await bench.state() == "creating"
    gate.set()
    assert str(await bench.ended(op)) == ROLLED_BACK
    assert (await bench.create()).state == "ready", "and may be asked for once more"


@pytest.mark.parametrize("comes", [True, False])
async def test_a_mount_joins_what_start_up_waits_for(bench: Bench, comes: bool) -> None:
    await bench.start()
    await bench.create()
    await bench.stop()
    bench.machine.reboot()
    bench.machine.unplug("B")
    agent = bench.build(open_wait_s=20 if comes else 0.1)
    await agent.start()
    bench.machine.commands.clear()
    mount = asyncio.ensure_future(bench.mount())
    for _ in range(50):
        await asyncio.sleep(0)
    assert not bench.machine.commands, "it does not open degraded what is about to be whole"
    if comes:
        bench.machine.plug("B")
        await agent.observer.refresh()
    assert await mount is None
    view = await bench.agent.pools.get(GUID)
    assert (view.state, view.pool_status) == ("ready", "active" if comes else "degraded")


async def test_equal_imports_all_succeed(bench: Bench) -> None:
    bench.stopped_pool("A", "B")
    await bench.start()
    pools = bench.agent.pools
    views = await asyncio.gather(*(pools.import_pool(GUID, "mine", None) for _ in range(4)))
    assert {view.label for view in views} == {"mine"} and len(bench.remembered) == 1
    assert (await pools.import_pool(GUID, "mine", None)).label == "mine"


async def test_an_import_does_not_take_what_another_operation_works_on(bench: Bench) -> None:
    bench.stopped_pool("A", "B")
    await bench.start()
    importing = asyncio.ensure_future(bench.agent.pools.import_pool(GUID, None, None))
    await asyncio.sleep(0)
    wiping = bench.agent.pools.create(bench.request("A", "C", guid=THIRD, wipe=True))
    answers = await asyncio.gather(importing, wiping, return_exceptions=True)
    assert any(isinstance(answer, Exception) for answer in answers), answers
    await bench.settled()
