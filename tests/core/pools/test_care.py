"""The rest of a pool's life: processes, names, pools from elsewhere, absent drives, start-up."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Sequence

import pytest

from backy_core.sdk.errors import Conflict, DriveInUse, InvalidRequest, NotFound, PoolBusy
from tests.fakes.agent import FS_UUID, GUID, OTHER, Bench
from tests.fakes.model import Content

# processes


async def _busy(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    bench.machine.hold(bench.path() + "/a", pid=100)
    bench.machine.hold("/somewhere/else", pid=200)


async def _kill(bench: Bench, pids: Sequence[int], action: str | None = None) -> object:
    return await bench.ended(await bench.agent.pools.kill(GUID, pids, action))


async def test_holders_of_a_pool_are_listed(bench: Bench) -> None:
    await _busy(bench)
    assert [p.pid for p in await bench.agent.pools.processes(GUID)] == [100]
    assert [p.pid for p in await bench.agent.pools.mount_processes(bench.path()[1:])] == [100]
    with pytest.raises(NotFound):
        await bench.agent.pools.mount_processes("/somewhere")


async def test_one_stranger_among_them_and_nobody_is_signalled(bench: Bench) -> None:
    await _busy(bench)
    with pytest.raises(Conflict, match="200"):
        op = await bench.agent.pools.kill(GUID, [100, 200], None)
        await op.wait()
    assert set(bench.machine.processes) == {100, 200}


async def test_a_process_that_is_gone_counts_as_done(bench: Bench) -> None:
    await _busy(bench)
    assert await _kill(bench, [100, 99999]) is None
    assert set(bench.machine.processes) == {200}
    assert await bench.state() == "ready"


@pytest.mark.parametrize(
    ("action", "state"),
    [("UnmountPool", "unmounted"), ("unmountpool", "unmounted"), ("REMOVEPOOLGROUP", "deleted")],
)
async def test_killing_then_does_what_was_asked(bench: Bench, action: str, state: str) -> None:
    await _busy(bench)
    assert await _kill(bench, [100], action) is None
    assert await bench.state() == state


async def test_killing_too_few_fails_with_the_action(bench: Bench) -> None:
    await _busy(bench)
    bench.machine.hold(bench.path() + "/b", pid=101)
    assert isinstance(await _kill(bench, [100], "UnmountPool"), PoolBusy)
    assert await bench.state() == "ready"


async def test_an_unmounted_pool_counts_as_done(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    await bench.unmount()
    assert await _kill(bench, [99999], "UnmountPool") is None
    with pytest.raises(InvalidRequest):
        await bench.agent.pools.kill(GUID, [], "Explode")


# names


async def test_renaming_lasts(bench: Bench) -> None:
    await bench.start()
    await bench.create(drive_labels={"A": "one"})
    await bench.agent.pools.rename(GUID, "new name", {"B": "two"})
    await bench.restart()
    view = await bench.agent.pools.get(GUID)
    assert view.label == "new name" and [d.label for d in view.drives] == ["one", "two"]
    for label, labels in (("", None), (None, {"C": "x"})):
        with pytest.raises(InvalidRequest):
            await bench.agent.pools.rename(GUID, label, labels)


# pools from elsewhere


async def test_a_pool_whose_metadata_was_lost_is_importable(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    await bench.agent.pools.forget(GUID)
    with pytest.raises(NotFound):
        await bench.agent.pools.forget(GUID)
    assert await bench.agent.pools.list() == ()
    (found,) = await bench.agent.pools.importable()
    assert (found.guid, found.drives, found.filesystem) == (GUID, ("A", "B"), "ext4")

    before = repr(bench.machine.disks), list(bench.machine.commands)
    view = await bench.agent.pools.import_pool(GUID, "again", None)
    assert (repr(bench.machine.disks), bench.machine.commands) == before
    assert (view.state, view.label, view.mount_path) == ("ready", "again", bench.path())
    assert await bench.agent.pools.importable() == ()
    assert await bench.delete() is None


async def test_an_array_from_elsewhere_gets_a_stable_guid_and_can_be_mounted(bench: Bench) -> None:
    bench.machine.make_pool(OTHER, "nas:data", "A", "B", fs=Content("ext4", FS_UUID))
    await bench.start()
    assert await bench.agent.pools.list() == ()
    (found,) = await bench.agent.pools.importable()
    assert found.guid != OTHER and found.native_id == OTHER
    await bench.restart()
    assert (await bench.agent.pools.importable())[0].guid == found.guid
    view = await bench.agent.pools.import_pool(found.guid, None, None)
    assert view.state == "unmounted"
    assert await bench.mount(found.guid) is None
    assert await bench.state(found.guid) == "ready"
    assert await bench.delete(found.guid) is None
    bench.assert_nothing_left("A", "B")


async def test_importing_what_is_not_there_is_not_found(bench: Bench) -> None:
    await bench.start()
    with pytest.raises(NotFound):
        await bench.agent.pools.import_pool(OTHER, None, None)


async def test_forgetting_all_spares_pools_that_are_worked_on(bench: Bench) -> None:
    await bench.start()
    await bench.create("A")
    await bench.create("B", guid=OTHER)
    op = await bench.agent.pools.unmount(GUID)
    assert await bench.agent.pools.forget_all() == 1
    await bench.ended(op)
    assert list(bench.remembered) == [GUID]


async def test_the_earlier_agents_entry_is_learnt_and_used(bench: Bench) -> None:
    """It remembered serials alone; from the first sight on the array's identity counts."""
    bench.machine.make_pool(OTHER, "nas:data", "A", "B", fs=Content("ext4", FS_UUID))
    agent = bench.build()
    bench.settings.state_dir.mkdir()
    old = {
        "poolGroupGuid": GUID,
        "label": "old",
        "mdDeviceName": "md0",
        "driveSerials": ["A", "B"],
        "driveLabels": {"A": "left"},
        "createdAt": "2024-01-02T03:04:05.1234567Z",
        "lastMountPath": bench.path(),
        "isMounted": True,
    }
    bench.settings.metadata_path.write_text(json.dumps({"pools": [old]}))
    await agent.start()
    await bench.settled()
    view = await bench.agent.pools.get(GUID)
    assert (view.state, view.level, view.filesystem) == ("ready", "raid1", "ext4")
    assert bench.remembered[GUID].native_id == OTHER
    assert await bench.agent.pools.validate_metadata() == 0
    assert await bench.delete() is None
    bench.assert_nothing_left("A", "B")


# absent drives


async def test_deleting_with_an_absent_drive_remembers_it(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    await bench.unmount()
    bench.machine.unplug("B")
    assert await bench.delete() is None
    (op,) = [op for op in bench.agent.operations.of_pool(GUID) if op.kind == "delete"]
    assert "B" in (op.message or "")
    stones = json.loads(bench.settings.tombstones_path.read_text())["tombstones"]
    assert [(s["guid"], [d["serial"] for d in s["drives"]]) for s in stones] == [(GUID, ["B"])]
    assert stones[0]["stamps"], "or nobody could tell the drive when it returns"
    assert bench.machine.clean("A")

    await bench.restart()
    bench.machine.plug("B")
    await bench.agent.observer.refresh()
    await bench.settled()
    assert bench.machine.disks["B"].superblock, "wiping it is offered, never automatic"
    with pytest.raises(Conflict):
        await bench.agent.pools.create(bench.request("A", "C"))
    assert (await bench.create("A", "C", guid=OTHER)).state == "ready"


async def test_a_remnant_of_a_deleted_pool_can_be_wiped_with_consent(bench: Bench) -> None:
    await test_deleting_with_an_absent_drive_remembers_it(bench)
    third = "22222222-2222-4333-8444-555555555555"
    with pytest.raises(Exception, match="B"):
        await bench.agent.pools.create(bench.request("B", guid=third))
    assert (await bench.create("B", guid=third, wipe=True)).state == "ready"


async def test_a_guid_is_never_used_again(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    await bench.delete()
    with pytest.raises(Conflict, match="never used again"):
        await bench.agent.pools.create(bench.request())
    bench.stopped_pool("A", "B", guid=OTHER)
    await bench.agent.observer.refresh([""])
    with pytest.raises((Conflict, DriveInUse)):
        await bench.agent.pools.create(bench.request("C", guid=OTHER))


# adding drives


async def _degraded(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    bench.machine.unplug("B")
    await bench.agent.observer.refresh()


async def test_a_replacement_takes_the_missing_members_place(bench: Bench) -> None:
    await _degraded(bench)
    assert await bench.add_drive("C") is None
    view = await bench.agent.pools.get(GUID)
    assert view.pool_status == "recovering" and view.sync_percent == 25.0
    assert {d.serial: d.status for d in view.drives} == {"A": "active", "C": "rebuilding"}
    assert bench.remembered[GUID].drive_serials == ("A", "C")


async def test_a_returned_member_is_taken_back(bench: Bench) -> None:
    await _degraded(bench)
    bench.machine.plug("B")
    await bench.agent.observer.refresh()
    status = {d.serial: d.status for d in (await bench.agent.pools.get(GUID)).drives}
    assert status == {"A": "active", "B": "stale"}
    assert await bench.add_drive("B") is None
    assert (await bench.agent.pools.get(GUID)).pool_status == "active"
    assert set(bench.remembered[GUID].drive_serials) == {"A", "B"}
    assert await bench.add_drive("B") is None, "already in"


async def test_a_drive_with_data_is_added_only_with_consent(bench: Bench) -> None:
    await _degraded(bench)
    bench.machine.disks["C"].content = [Content("ext4", "1", "photos")]
    await bench.agent.observer.refresh([""])
    with pytest.raises(Exception, match="ext4"):
        await bench.agent.pools.add_drive(
            GUID, serial="C", dev_path=None, replaces=None, wipe=False
        )
    assert bench.machine.disks["C"].content
    assert await bench.add_drive("C", wipe=True) is None


async def test_a_whole_pool_takes_no_drive_and_an_unmounted_one_neither(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    for _ in ("complete", "unmounted"):
        with pytest.raises(Conflict):
            await bench.agent.pools.add_drive(
                GUID, serial="C", dev_path=None, replaces=None, wipe=False
            )
        await bench.unmount()
    assert bench.machine.clean("C")


# start-up


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
    assert "A, B are not connected" in ((await bench.agent.pools.get(GUID)).error_message or "")
    bench.machine.plug("A")
    await bench.agent.observer.refresh()
    await bench.settled()
    view = await bench.agent.pools.get(GUID)
    assert view.state == "error" and "Drive B is not connected" in (view.error_message or "")
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
    await _degraded(bench)
    await bench.stop()
    bench.machine.reboot()
    await bench.start()
    view = await bench.agent.pools.get(GUID)
    assert (view.state, view.pool_status) == ("ready", "degraded")


@pytest.mark.parametrize("assembled", [False, True], ids=["stopped", "assembled by udev"])
async def test_a_replaced_member_that_was_used_apart_never_takes_the_pool_over(
    bench: Bench, assembled: bool
) -> None:
    await _degraded(bench)
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
    with pytest.raises(Conflict, match="B is no member"):
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
    assert view.state == "error" and "connected" in (view.error_message or "")
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


async def test_a_backend_that_cannot_look_loses_no_pool(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last-known-good lists are served."""
    await bench.start()
    await bench.create()
    before = await bench.agent.pools.get(GUID)
    monkeypatch.setattr("backy_mdadm.inspect._kernel_arrays", _broken)
    await bench.agent.observer.refresh()
    seen = await bench.agent.pools.get(GUID)
    assert seen._replace(stale_because=None) == before
    assert "garbage" in (seen.stale_because or "")
    with pytest.raises(Exception, match="cannot look"):
        await bench.agent.pools.delete(GUID)
    assert await bench.state() == "ready"


async def _broken(*_: object) -> object:
    await asyncio.sleep(0)
    raise ValueError("garbage in /proc/mdstat")


# retention


async def test_reading_a_failures_outputs_changes_nothing_but_starts_its_grace(
    bench: Bench,
) -> None:
    await bench.start(failed_output_grace_s=0)
    bench.machine.interruptions.fail("mkfs")
    await bench.create()
    first = await bench.agent.pools.outputs(GUID)
    assert await bench.agent.pools.outputs(GUID) == first
    assert await bench.state() == "failed"
    bench.agent.operations.prune()
    with pytest.raises(NotFound):
        await bench.agent.pools.outputs(GUID)


async def test_an_unread_failure_outlives_other_jobs(bench: Bench) -> None:
    await bench.start(max_operations=1, success_retention_s=0)
    bench.machine.interruptions.fail("mkfs", times=1)
    await bench.create()
    await bench.create("C", guid=OTHER)
    await bench.unmount(OTHER)
    assert await bench.state() == "failed"
    assert (await bench.agent.pools.outputs(GUID))[0]
