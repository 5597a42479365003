"""Ways in which such agents lose data, each one tried."""

from __future__ import annotations

import asyncio

import pytest

from backy_core.sdk.errors import Conflict, DriveNotEmpty, NotFound
from tests.fakes.agent import GUID, OTHER, Bench
from tests.fakes.model import Content, Disk, Mounted

PHOTOS = Content("ext4", "photos", "PHOTOS")


async def test_content_that_no_event_announced_is_not_overwritten(bench: Bench) -> None:
    await bench.start()
    bench.machine.disks["A"].content = [PHOTOS]
    with pytest.raises(DriveNotEmpty):
        await bench.create()
    assert bench.machine.disks["A"].content == [PHOTOS]


async def test_content_that_no_event_announced_is_not_added(bench: Bench) -> None:
    bench.stopped_pool("A", "B")
    await bench.start()
    await bench.agent.pools.import_pool(GUID, None, None)
    bench.machine.unplug("B")
    await bench.agent.drives_service.refresh()
    assert await bench.mount() is None
    bench.machine.disks["C"].content = [PHOTOS]
    with pytest.raises(DriveNotEmpty):
        await bench.add_drive("C")
    assert bench.machine.disks["C"].content == [PHOTOS]


async def test_a_drive_exchanged_for_its_double_is_not_overwritten(bench: Bench) -> None:
    """USB bridges give every drive behind them the same serial."""
    await bench.start()
    double = Disk("A", content=[PHOTOS])

    def exchange() -> None:
        if bench.machine.disks["A"] is not double:
            bench.machine.swap("A", double)

    bench.machine.interruptions.when("after mkdir", exchange)
    view = await bench.create()
    assert double.content == [PHOTOS] and double.superblock is None
    assert view.state == "failed"


async def _deletion_that_fails(bench: Bench) -> None:
    bench.stopped_pool("A", "B")
    await bench.start()
    await bench.agent.pools.import_pool(GUID, None, None)
    assert await bench.mount() is None


async def test_a_deletion_that_failed_before_wiping_is_not_resumed(bench: Bench) -> None:
    await _deletion_that_fails(bench)
    volume = bench.machine.array_of(GUID).volume  # type: ignore[union-attr]
    bench.machine.interruptions.fail("umount")
    assert await bench.delete() is not None
    bench.machine.interruptions.reset()
    assert await bench.mount() is None
    assert await bench.state() == "ready"
    bench.machine.unplug("C")
    await bench.agent.drives_service.refresh()
    await bench.settled()
    assert volume.content, "a drive was pulled, and the pool that was kept got wiped"
    assert bench.journal == []
    await bench.restart()
    assert volume.content and await bench.state() == "ready"


async def test_a_deletion_whose_wish_was_not_written_is_not_resumed(bench: Bench) -> None:
    """The disk of the agent is full."""
    await _deletion_that_fails(bench)
    volume = bench.machine.array_of(GUID).volume  # type: ignore[union-attr]
    full = [True]

    def refuse() -> None:
        if full:
            full.clear()
            raise OSError(28, "No space left on device")

    bench.machine.interruptions.when("before writing pool-metadata.json", refuse)
    assert await bench.delete() is not None
    bench.machine.interruptions.reset()
    await bench.restart()
    assert volume.content, "told that it failed, and wiped at the next start"
    assert await bench.state() == "ready"


async def test_what_a_failed_creation_left_cannot_be_imported(bench: Bench) -> None:
    """Its roll-back is tried again and would remove the pool."""
    await bench.start()
    bench.machine.interruptions.fail("mkfs")
    bench.machine.interruptions.fail("mdadm --stop")
    assert (await bench.create()).state == "failed"
    assert await bench.agent.pools.importable() == ()
    with pytest.raises(NotFound):
        await bench.agent.pools.import_pool(GUID, None, None)


async def test_the_pool_that_the_system_lives_on_cannot_be_imported(bench: Bench) -> None:
    bench.stopped_pool("A", "B")
    bench.machine.assemble_all()
    bench.machine.mounts.append(_mounted(bench, "/boot"))
    await bench.start()
    assert await bench.agent.pools.importable() == ()


def _mounted(bench: Bench, path: str) -> Mounted:
    array = bench.machine.array_of(GUID)
    assert array
    return Mounted(array.name, path, "ext4")


async def test_a_drive_that_cannot_be_read_is_not_forgotten_by_a_deletion(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    await bench.unmount()
    bench.machine.unreadable.add(bench.machine.disks["B"].name)
    bench.agent.observer.forget_signatures([""])
    assert await bench.delete() is None
    assert bench.machine.disks["B"].superblock
    stone = bench.agent._core.tombstones.get(GUID)
    assert stone and [drive.serial for drive in stone.drives] == ["B"]


async def test_a_deletion_of_a_device_in_use_leaves_the_pool_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _deletion_that_fails(bench)
    array = bench.machine.array_of(GUID)
    assert array
    in_use = bench.machine.in_use
    monkeypatch.setattr(bench.machine, "in_use", lambda name: name == array.name or in_use(name))
    assert await bench.delete() is not None
    monkeypatch.setattr(bench.machine, "in_use", in_use)
    assert array.volume.content and bench.journal == []
    assert await bench.mount() is None
    assert await bench.state() == "ready"


async def test_a_full_disk_does_not_keep_a_creation_from_being_undone(bench: Bench) -> None:
    await bench.start()

    def refuse() -> None:
        raise OSError(28, "No space left on device")

    bench.machine.interruptions.fail("mkfs")
    for record in ("undoing", "undone", "closed"):
        bench.machine.interruptions.when(f"torn {record}", refuse)
    assert (await bench.create()).state == "failed"
    bench.assert_nothing_left("A", "B")
    assert await bench.available() == {"A": True, "B": True, "C": True}


async def test_a_pool_on_partitions_is_not_half_deleted(bench: Bench) -> None:
    """Its drives hold more than the pool."""
    bench.stopped_pool("A", "B")
    await bench.start()
    await bench.agent.pools.import_pool(GUID, None, None)
    assert await bench.mount() is None
    array = bench.machine.array_of(GUID)
    bench.machine.disks["A"].content = [Content("gpt", "table")]
    bench.agent.observer.forget_signatures([""])
    with pytest.raises(DriveNotEmpty):
        await bench.delete()
    assert array and array.volume.content and bench.machine.mounts


async def test_another_filesystem_over_the_mount_is_not_ready(bench: Bench) -> None:
    await bench.start()
    assert (await bench.create()).state == "ready"
    bench.machine.mounts.append(Mounted(bench.machine.disks["C"].name, bench.path(), "ext4"))
    await bench.agent.drives_service.refresh()
    assert await bench.state() == "error"
    assert await bench.unmount() is not None
    assert len(bench.machine.mounts) == 2, "what somebody else mounted stays"


async def test_nested_mount_paths_at_the_same_moment(bench: Bench) -> None:
    bench.machine.add("D")
    await bench.start()
    first = bench.agent.pools.create(bench.request("A", "B"))
    second = bench.agent.pools.create(
        bench.request("C", "D", guid=OTHER, mount_path=bench.path() + "/below")
    )
    answers = await asyncio.gather(first, second, return_exceptions=True)
    assert any(isinstance(answer, Conflict) for answer in answers)


async def test_a_drive_of_a_deleted_pool_can_be_used_again(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    await bench.unmount()
    bench.machine.unplug("B")
    await bench.agent.drives_service.refresh()
    assert await bench.delete() is None
    bench.machine.plug("B")
    await bench.agent.drives_service.refresh()
    view = await bench.create("B", guid=OTHER, wipe=True)
    assert view.state == "ready"


async def test_a_clean_drive_is_not_set_apart_for_an_absent_one(bench: Bench) -> None:
    await bench.start()

    def pull() -> None:
        if "B" in bench.machine.disks:
            bench.machine.unplug("B")

    bench.machine.interruptions.when("before mkfs", pull)
    bench.machine.interruptions.fail("mkfs")
    assert (await bench.create()).state == "failed"
    assert (await bench.available())["A"], "it is proven clean"
    assert await bench.delete() is None, "it must be possible to give up on the drive"
    assert bench.agent._core.tombstones.get(GUID) is not None


async def test_a_pool_committed_before_a_power_cut_is_opened(bench: Bench) -> None:
    await bench.start()
    interruptions = bench.machine.interruptions

    def cut() -> None:
        interruptions.crash_at = len(interruptions.reached) - 1

    interruptions.when("recorded commit", cut)
    assert await bench.until_crash(bench.create())
    bench.machine.interruptions.reset()
    bench.machine.reboot()
    await bench.start()
    assert await bench.state() == "ready"


async def test_two_halves_used_apart_are_not_mounted_by_themselves(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    a, b = bench.machine.disks["A"], bench.machine.disks["B"]
    await bench.stop()
    bench.machine.reboot()
    a.superblock = a.superblock.after(lost=1)  # type: ignore[union-attr]
    b.superblock = b.superblock.after(lost=0)  # type: ignore[union-attr]
    bench.machine.start_array("md7", [a], degraded=False)
    await bench.start()
    assert await bench.state() == "error"
    assert not bench.machine.mounts
