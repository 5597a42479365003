"""Mounting, unmounting, deleting and adding fail at each step in each way."""

from __future__ import annotations

import pytest

from tests.fakes.agent import GUID, Bench
from tests.fakes.interruptions import PROGRAM_FAULTS, How, each_fault


@each_fault(["mdadm --assemble", "mount -t"], ["mkdir"])
async def test_a_mount_that_fails_goes_back(bench: Bench, words: str, how: How) -> None:
    await bench.start()
    await bench.create()
    await bench.unmount()
    before = bench.remembered
    bench.machine.interruptions.fail(words, how)
    error = await bench.mount(path=str(bench.mounts / "elsewhere"))
    if how is How.HALF and words.startswith("mount"):
        assert error is None, "the outcome is there, whatever the program said"
        return
    assert error is not None
    assert await bench.state() == "unmounted"
    assert not bench.machine.arrays and not bench.machine.mounts and not bench.journal
    assert bench.remembered == before
    assert bench.directories == [GUID]
    bench.machine.interruptions.reset()
    assert await bench.mount() is None


@each_fault(["umount", "mdadm --stop"])
async def test_an_unmount_that_fails_says_where_it_stands(
    bench: Bench, words: str, how: How
) -> None:
    await bench.start()
    await bench.create()
    bench.machine.interruptions.fail(words, how)
    error = await bench.unmount()
    if how is How.HALF:
        assert error is None, "the outcome is there, whatever the program said"
        assert await bench.state() == "unmounted" and not bench.machine.arrays
        return
    assert error is not None
    assert bench.machine.mounts, "still mounted, or mounted again"
    assert await bench.state() == "ready" and bench.remembered[GUID].is_mounted
    assert not bench.journal and not bench.agent.operations.claims.claimed_drives()
    bench.machine.interruptions.reset()
    assert await bench.unmount() is None
    assert not bench.machine.arrays


@pytest.mark.parametrize("again", ["delete", "restart"])
@each_fault(["umount", "wipefs --all /dev/md", "mdadm --stop", "wipefs --all /dev/sdx"])
async def test_a_delete_that_fails_can_be_finished(
    bench: Bench, words: str, how: How, again: str
) -> None:
    await bench.start()
    await bench.create()
    bench.machine.interruptions.fail(words, how)
    error = await bench.delete()
    if how is How.HALF:
        assert error is None, "the outcome is there, whatever the program said"
        bench.assert_nothing_left("A", "B")
        return
    assert GUID in bench.remembered, "forgotten last"
    assert not (await bench.available())["A"]
    bench.machine.interruptions.reset()
    if words == "umount":
        assert await bench.state() == "ready", "nothing was destroyed: the pool is as it was"
        assert not bench.journal
        return
    assert await bench.state() == "unmounted"
    if again == "restart":
        await bench.restart()
    else:
        assert await bench.delete() is None
    assert await bench.state() == "deleted"
    bench.assert_nothing_left("A", "B")
    assert bench.remembered == {}


async def test_a_half_deleted_pool_is_not_mounted_and_its_deletion_not_resumed_behind_ones_back(
    bench: Bench,
) -> None:
    """Otherwise it would be wiped, in use, when the next drive is plugged in."""
    await bench.start()
    await bench.create()
    bench.machine.interruptions.fail("mdadm --stop")
    assert await bench.delete() is not None
    bench.machine.interruptions.reset()
    with pytest.raises(Exception, match="The deletion"):
        await bench.agent.pools.mount(GUID, None)


@pytest.mark.parametrize("how", PROGRAM_FAULTS)
async def test_an_addition_that_fails_leaves_the_drive_and_the_pool_alone(
    bench: Bench, how: How
) -> None:
    await bench.degraded()
    before = bench.remembered
    bench.machine.interruptions.fail("--add", how)
    error = await bench.add_drive("C")
    assert not bench.journal and not bench.agent.operations.claims.claimed_drives()
    assert await bench.state() == "ready"
    if how is How.HALF:
        assert error is None and set(bench.remembered[GUID].drive_serials) == {"A", "C"}
        return
    assert error is not None
    assert bench.remembered == before
    assert bench.machine.clean("C") and (await bench.available())["C"]


async def test_a_drive_that_only_became_a_spare_has_replaced_nobody(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    before = bench.remembered
    bench.machine.interruptions.fail("--replace", How.STATUS, times=100)
    for _ in range(2):
        assert await bench.add_drive("C", replaces="B") is not None
        assert bench.remembered == before, "B still holds the data"
    assert not bench.journal and await bench.state() == "ready"
