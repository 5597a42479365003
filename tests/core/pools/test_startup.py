"""Which pools open by themselves when the agent starts, and which wait for whom."""

from __future__ import annotations

import dataclasses

import pytest

from backy_core.sdk.errors import Conflict, PoolBusy
from tests.fakes.agent import GUID, OTHER, Bench


async def _shelved(bench: Bench) -> None:
    """A pool that should be mounted, on a machine that was off."""
    await bench.start()
    await bench.create()
    await bench.stop()
    bench.machine.reboot()


async def test_a_late_member_is_waited_for(bench: Bench) -> None:
    await _shelved(bench)
    bench.machine.unplug("B")
    agent = bench.build(open_wait_s=20)
    await agent.start()
    assert await bench.state() == "unmounted", "still to be opened"
    bench.machine.plug("B")
    await agent.observer.refresh()
    await bench.settled()
    assert await bench.state() == "ready"


async def test_a_pool_with_a_missing_member_is_not_opened_by_itself(bench: Bench) -> None:
    await _shelved(bench)
    bench.machine.unplug("B")
    await bench.start()
    view = await bench.agent.pools.get(GUID)
    assert view.state == "error" and view.error_message
    assert {d.serial: d.status for d in view.drives}["B"] in ("missing", "disconnected")
    assert not bench.machine.arrays, "nothing stays half-assembled"
    assert await bench.mount() is None, "asked for by name, it is opened degraded"
    view = await bench.agent.pools.get(GUID)
    assert (view.state, view.pool_status) == ("ready", "degraded")


async def test_a_missing_member_is_named_until_it_comes_and_the_pool_opens(bench: Bench) -> None:
    await _shelved(bench)
    for serial in ("A", "B"):
        bench.machine.unplug(serial)
    await bench.start()
    assert "A, B are not connected" in str((await bench.agent.pools.get(GUID)).error_message)
    bench.machine.plug("A")
    await bench.agent.observer.refresh()
    await bench.settled()
    view = await bench.agent.pools.get(GUID)
    assert view.state == "error" and "Drive B is not connected" in str(view.error_message)
    bench.machine.plug("B")
    await bench.agent.observer.refresh()
    await bench.settled()
    view = await bench.agent.pools.get(GUID)
    assert (view.state, view.pool_status, view.error_message) == ("ready", "active", None)


async def test_a_pool_that_was_unmounted_meanwhile_does_not_open_late(bench: Bench) -> None:
    await _shelved(bench)
    bench.machine.unplug("B")
    await bench.start()
    assert await bench.unmount() is None
    bench.machine.plug("B")
    await bench.agent.observer.refresh()
    await bench.settled()
    assert await bench.state() == "unmounted" and not bench.machine.arrays


async def test_a_pool_that_lost_a_member_before_is_opened_without_it(bench: Bench) -> None:
    """Those that were active last time are all there."""
    await bench.degraded()
    await bench.stop()
    bench.machine.reboot()
    await bench.start()
    view = await bench.agent.pools.get(GUID)
    assert (view.state, view.pool_status) == ("ready", "degraded")


@pytest.mark.parametrize("assembled", [False, True], ids=["stopped", "assembled by udev"])
async def test_a_replaced_member_that_was_used_apart_never_takes_the_pool_over(
    bench: Bench, assembled: bool
) -> None:
    await bench.degraded()
    assert await bench.add_drive("C", replaces="B") is None
    await bench.stop()
    bench.machine.reboot()
    bench.machine.plug("B")
    former = bench.machine.disks["B"]
    assert former.superblock is not None
    former.superblock = dataclasses.replace(
        former.superblock, events=former.superblock.events + 1000
    )
    if assembled:
        bench.machine.assemble_all()
    await bench.start()
    assert await bench.state() == "error" and bool(bench.machine.arrays) is assembled
    with pytest.raises(Conflict, match="B is no longer a member"):
        await bench.mount()
    assert not bench.machine.mounts
    bench.machine.unplug("B")
    assert await bench.unmount() is None
    assert await bench.mount() is None and await bench.state() == "ready"


async def test_what_stays_mounted_without_any_drive_is_unmounted_and_not_forgotten(
    bench: Bench,
) -> None:
    """As of an array or a zpool that the kernel has dropped with its last drive."""
    await bench.start()
    await bench.create()
    for serial in ("A", "B"):
        bench.machine.unplug(serial)
    bench.machine.arrays.clear()
    await bench.agent.observer.refresh()
    assert await bench.state() == "error" and bench.machine.mounts
    with pytest.raises(Conflict, match="is mounted at"):
        await bench.delete()
    assert bench.remembered and bench.machine.mounts
    bench.machine.hold(bench.path() + "/a", pid=100)
    for _ in range(2):
        assert isinstance(await bench.unmount(), PoolBusy), "it is not taken for unmounted"
    bench.machine.processes.clear()
    assert await bench.unmount() is None
    assert not bench.machine.mounts and not bench.journal


async def test_a_pool_without_drives_says_so(bench: Bench) -> None:
    await _shelved(bench)
    bench.machine.unplug("A")
    bench.machine.unplug("B")
    await bench.start()
    view = await bench.agent.pools.get(GUID)
    assert view.state == "error" and "connected" in str(view.error_message)
    assert [d.status for d in view.drives] == ["disconnected", "disconnected"]


async def test_an_unmounted_pool_is_left_alone(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    await bench.unmount()
    await bench.restart()
    assert await bench.state() == "unmounted" and not bench.machine.arrays


async def test_two_pools_are_opened_side_by_side_and_one_failing_does_not_stop_the_other(
    bench: Bench,
) -> None:
    await bench.start()
    await bench.create("A")
    await bench.create("B", guid=OTHER)
    await bench.stop()
    bench.machine.reboot()
    bench.machine.unplug("A")
    await bench.start()
    assert (await bench.state(), await bench.state(OTHER)) == ("error", "ready")
