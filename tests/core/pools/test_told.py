"""What listeners are told of a pool's life."""

from __future__ import annotations

from backy_core.sdk.events import PoolChange
from tests.core.plugins.test_listeners import Attentive
from tests.fakes.agent import GUID, Bench
from tests.fakes.interruptions import How


async def test_an_operation_is_told_after_what_it_did_to_its_pool(bench: Bench) -> None:
    attentive = Attentive()
    bench.listeners = (("good", attentive),)
    await bench.start()
    await bench.create()
    assert await bench.unmount() is None
    ends = attentive.operations(2)
    assert [(end.kind, end.outcome, end.pool_guid, end.pool_label) for end in ends] == [
        ("create", "succeeded", GUID, "backup-1"),
        ("unmount", "succeeded", GUID, "backup-1"),
    ]
    told = attentive.told
    for end, presence in zip(ends, ("active", "stopped"), strict=True):
        change = told[told.index(end) - 1]
        assert isinstance(change, PoolChange)
        assert change.backend == "mdadm"
        assert change.after is not None
        assert change.after.presence == presence


async def test_a_failure_is_told_with_its_code(bench: Bench) -> None:
    attentive = Attentive()
    bench.listeners = (("good", attentive),)
    await bench.start()
    bench.machine.interruptions.fail("mkfs.ext4", How.STATUS)
    await bench.create()
    (end,) = attentive.operations(1)
    assert (end.outcome, end.error_code) == ("failed", "SYSTEM_ERROR")
    assert end.error_message
    assert 0 < end.step < end.steps


async def test_the_pools_at_start_are_told_once_they_were_tried(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    await bench.stop()
    bench.machine.reboot()
    bench.machine.unplug("B")
    attentive = Attentive()
    bench.listeners = (("good", attentive),)
    await bench.start()
    first, *_, last = attentive.found(2)
    assert first == (), "its only pool is yet to be opened"
    (pool,) = last
    assert pool.before is None and pool.after is not None and pool.pool is not None
    assert (pool.pool.guid, pool.pool.label) == (GUID, "backup-1")
    assert pool.pool.should_be_mounted and not pool.pool.busy
    assert [(drive.serial, bool(drive.size)) for drive in pool.pool.drives] == [
        ("A", True),
        ("B", True),
    ]


async def test_a_pool_that_is_not_opened_at_start_is_told_at_once(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    assert await bench.unmount() is None
    for serial in ("A", "B"):
        bench.machine.unplug(serial)
    await bench.stop()
    attentive = Attentive()
    bench.listeners = (("good", attentive),)
    await bench.start()
    ((pool,),) = attentive.found(1)
    assert pool.after is None and pool.pool is not None
    assert not pool.pool.should_be_mounted
    bench.machine.plug("A")
    await bench.agent.observer.refresh()
    (change,) = attentive.after(1)
    assert isinstance(change, PoolChange) and change.pool is not None
    assert change.pool.guid == GUID


async def test_the_state_of_a_pool_during_an_operation_is_told_as_passing(bench: Bench) -> None:
    attentive = Attentive()
    bench.listeners = (("good", attentive),)
    await bench.start()
    await bench.create()
    assert await bench.unmount() is None
    attentive.operations(2)
    changes = [record for record in attentive.told if isinstance(record, PoolChange)]
    assert changes[0].pool is None, "it was being made"
    assert changes[-1].pool is not None and changes[-1].pool.busy
