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
