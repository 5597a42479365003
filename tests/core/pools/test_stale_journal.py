"""A journal that is older than the pool it speaks of erases nothing.

The state directory was restored from a copy, or something was mounted over it: the journal tells
of a creation that has ended since, and its pool is in use.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from backy_core.operations.resolve import Resolver
from backy_core.pools.lifecycle.create import KEPT, ROLLED_BACK
from backy_core.sdk.errors import Conflict
from backy_core.sdk.models import PoolReport
from backy_core.sdk.plan import Plan
from tests.fakes.agent import GUID, OTHER, Bench
from tests.fakes.model import Content, Mounted

COPIES = ["begun make-directory", "begun create-array", "begun make-filesystem", "begun mount"]


async def _copied_at(bench: Bench, record: str) -> None:
    """The pool is made; beside it lies a copy of the state from when ``record`` was written."""
    await bench.start()
    copy = bench.directory / "copy"

    def take_copy() -> None:
        if not copy.exists():
            shutil.copytree(bench.settings.state_dir, copy)

    bench.machine.interruptions.when(f"recorded {record}", take_copy)
    assert (await bench.create()).state == "ready"
    assert copy.exists()


def _restore(bench: Bench, *, metadata: bool = False) -> None:
    """Put the copy back; the newer metadata may be left in place."""
    state = bench.settings.state_dir
    shutil.copytree(bench.directory / "copy" / "journal", state / "journal", dirs_exist_ok=True)
    if not metadata:
        bench.settings.metadata_path.unlink()


def _fill(bench: Bench) -> None:
    for array in bench.machine.arrays.values():
        array.volume.files.append("photos")


def _kept(bench: Bench) -> bool:
    superblocks = [bench.machine.disks[serial].superblock for serial in ("A", "B")]
    return all(
        superblock is not None and "photos" in superblock.volume.files for superblock in superblocks
    )


@pytest.mark.parametrize("rebooted", [False, True], ids=["same boot", "rebooted"])
@pytest.mark.parametrize("record", COPIES)
async def test_a_pool_that_was_filled_since_is_kept_and_can_be_imported(
    bench: Bench, record: str, rebooted: bool
) -> None:
    await _copied_at(bench, record)
    _fill(bench)
    await bench.stop()
    _restore(bench)
    if rebooted:
        bench.machine.reboot()
    for _ in range(2):
        await bench.start()
        view = await bench.agent.pools.get(GUID)
        assert view.state == "failed" and str(view.error_message).startswith(KEPT)
        assert "import" in str(view.error_message)
        assert _kept(bench) and await bench.available() == {"A": False, "B": False, "C": True}
        await bench.stop()

    await bench.start()
    (found,) = await bench.agent.pools.importable()
    assert found.guid == GUID
    view = await bench.agent.pools.import_pool(GUID, None, None)
    assert (view.label, view.mount_path) == ("backup-1", bench.path())
    assert not bench.journal
    if rebooted:
        assert await bench.mount() is None
    assert await bench.state() == "ready" and _kept(bench)
    await bench.restart()
    assert await bench.state() == "ready" and _kept(bench)
    assert await bench.delete() is None
    bench.assert_nothing_left("A", "B")


async def test_deleting_what_was_kept_takes_explicit_consent(bench: Bench) -> None:
    await _copied_at(bench, "begun mount")
    _fill(bench)
    await bench.stop()
    _restore(bench)
    bench.machine.reboot()
    await bench.start()
    with pytest.raises(Conflict, match="photos") as refused:
        await bench.agent.pools.delete(GUID)
    assert "wipe=True" in str(refused.value.hint) and _kept(bench)
    op = await bench.agent.pools.delete(GUID, wipe=True)
    assert await bench.ended(op) is None
    bench.assert_nothing_left("A", "B")


@pytest.mark.parametrize("record", COPIES)
async def test_a_pool_that_is_known_is_never_rolled_back(bench: Bench, record: str) -> None:
    """Also an empty one."""
    await _copied_at(bench, record)
    await bench.stop()
    _restore(bench, metadata=True)
    bench.machine.reboot()
    await bench.start()
    assert await bench.state() == "ready" and not bench.journal


async def test_a_filesystem_that_was_not_made_yet_is_kept_though_it_is_empty(bench: Bench) -> None:
    await _copied_at(bench, "begun create-array")
    await bench.stop()
    _restore(bench)
    bench.machine.reboot()
    await bench.start()
    assert "not made yet" in str((await bench.agent.pools.get(GUID)).error_message)


async def test_an_empty_pool_of_an_interrupted_creation_is_rolled_back(bench: Bench) -> None:
    await _copied_at(bench, "begun mount")
    await bench.stop()
    _restore(bench)
    bench.machine.reboot()
    await bench.start()
    assert (await bench.agent.pools.get(GUID)).error_message == ROLLED_BACK
    bench.assert_nothing_left("A", "B")


@pytest.mark.parametrize("filled", [False, True])
async def test_a_pool_of_which_one_drive_alone_was_stamped_is_looked_into(
    bench: Bench, filled: bool
) -> None:
    """The power went while the creation wrote the superblocks; or a member was wiped by hand."""
    await _copied_at(bench, "begun mount" if filled else "begun create-array")
    if filled:
        _fill(bench)
    else:
        for array in bench.machine.arrays.values():
            array.volume.content.clear()
    await bench.stop()
    _restore(bench)
    bench.machine.reboot()
    bench.machine.disks["B"].superblock = None
    await bench.start()
    message = str((await bench.agent.pools.get(GUID)).error_message)
    if filled:
        assert message.startswith(KEPT) and "photos" in message
        assert bench.machine.disks["A"].superblock is not None
    else:
        assert message == ROLLED_BACK
        bench.assert_nothing_left("A", "B")


async def test_what_cannot_be_looked_into_is_kept_until_it_can(bench: Bench) -> None:
    await _copied_at(bench, "begun mount")
    _fill(bench)
    await bench.stop()
    _restore(bench)
    bench.machine.reboot()
    bench.machine.unplug("B")
    await bench.start()
    view = await bench.agent.pools.get(GUID)
    assert "drive B is not connected" in str(view.error_message)
    with pytest.raises(Conflict, match="cannot be inspected"):
        await bench.agent.pools.delete(GUID)
    assert bench.machine.disks["A"].superblock is not None
    bench.machine.plug("B")
    await bench.agent.observer.refresh()
    await bench.settled()
    assert _kept(bench) and "photos" in str((await bench.agent.pools.get(GUID)).error_message)


async def test_a_pool_that_was_made_anew_by_hand_is_kept(bench: Bench) -> None:
    await _copied_at(bench, "begun make-filesystem")
    (array,) = bench.machine.arrays.values()
    array.volume.content[:] = [Content("crypto_LUKS", "by hand")]
    bench.machine.mounts.clear()
    await bench.stop()
    _restore(bench)
    await bench.start()
    assert "crypto_LUKS" in str((await bench.agent.pools.get(GUID)).error_message)
    assert array.volume.content


async def test_metadata_older_than_an_exchange_asks_which_drive_speaks_for_the_pool(
    bench: Bench,
) -> None:
    await bench.start()
    await bench.create()
    older = bench.settings.metadata_path.read_bytes()
    bench.machine.unplug("B")
    await bench.agent.observer.refresh()
    assert await bench.add_drive("C") is None
    _fill(bench)
    await bench.stop()
    bench.settings.metadata_path.write_bytes(older)
    bench.machine.reboot()
    bench.machine.plug("B")
    await bench.start()
    assert await bench.state() == "error" and not bench.machine.mounts
    with pytest.raises(Conflict, match="C is no longer a member") as refused:
        await bench.mount()
    assert "unplug B instead" in str(refused.value.hint)
    bench.machine.unplug("B")
    await bench.agent.observer.refresh()
    assert await bench.mount() is None
    (array,) = bench.machine.arrays.values()
    assert {member.disk.serial for member in array.members} == {"A", "C"}
    assert array.volume.files == ["photos"]


async def test_a_deleted_pools_drives_and_path_that_are_in_use_again_are_left_alone(
    bench: Bench,
) -> None:
    await _copied_at(bench, "begun mount")
    await bench.delete()
    assert (await bench.create(guid=OTHER, mount_path=bench.path())).state == "ready"
    _fill(bench)
    await bench.stop()
    _restore(bench, metadata=True)
    await bench.start()
    assert (await bench.agent.pools.get(GUID)).error_message == ROLLED_BACK and not bench.journal
    assert await bench.state(OTHER) == "ready" and _kept(bench)
    assert bench.machine.mounted(bench.path())


async def test_metadata_of_another_machine_touches_no_drive(bench: Bench) -> None:
    """Its pools are not here, whatever serials it names."""
    await bench.start()
    await bench.create("A", guid=OTHER)
    other = bench.settings.metadata_path.read_bytes()
    await bench.delete(OTHER)
    await bench.create()
    _fill(bench)
    await bench.stop()
    bench.settings.metadata_path.write_bytes(other)
    bench.machine.reboot()
    await bench.start()
    assert await bench.state(OTHER) == "error" and not bench.machine.mounts
    assert await bench.delete(OTHER) is None and _kept(bench)
    await bench.agent.pools.import_pool(GUID, None, None)
    assert await bench.mount() is None and _kept(bench)


@pytest.mark.parametrize("rebooted", [False, True], ids=["same boot", "rebooted"])
async def test_a_deletion_that_broke_off_spares_a_pool_that_was_mounted_since(
    bench: Bench, rebooted: bool
) -> None:
    await bench.start()
    await bench.create()
    bench.machine.interruptions.when("recorded begun clear-device", _die(bench))
    assert await bench.until_crash(_awaited(bench))
    bench.machine.interruptions.reset()
    _fill(bench)
    if rebooted:
        bench.machine.reboot(assembled=True)
    (device,) = bench.machine.arrays
    Path(bench.path()).mkdir(exist_ok=True)
    bench.machine.mounts.append(Mounted(device, bench.path(), "ext4"))
    for _ in range(2):
        await bench.start()
        assert _kept(bench) and await bench.state() == "ready" and not bench.journal
        await bench.stop()
    await bench.start()
    assert await bench.delete() is None
    bench.assert_nothing_left("A", "B")


def _die(bench: Bench) -> Callable[[], None]:
    def die() -> None:
        interruptions = bench.machine.interruptions
        interruptions.crash_at = len(interruptions.reached) - 1

    return die


async def _awaited(bench: Bench) -> None:
    await bench.delete()


async def test_a_pool_with_something_beside_its_volume_is_kept(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _copied_at(bench, "begun mount")
    await bench.stop()
    _restore(bench)
    look = Resolver.report

    async def with_a_snapshot(self: Resolver, plan: Plan) -> PoolReport | None:
        report = await look(self, plan)
        return report and report.model_copy(update={"others": ("snapshot monday",)})

    monkeypatch.setattr(Resolver, "report", with_a_snapshot)
    await bench.start()
    assert "snapshot monday" in str((await bench.agent.pools.get(GUID)).error_message)
    assert bench.machine.disks["A"].superblock is not None


async def test_a_committed_entry_does_not_bring_older_metadata_back(bench: Bench) -> None:
    await _copied_at(bench, "commit")
    await bench.agent.pools.rename(GUID, "renamed since", None)
    await bench.stop()
    _restore(bench, metadata=True)
    await bench.start()
    assert (await bench.agent.pools.get(GUID)).label == "renamed since" and not bench.journal


async def test_a_committed_mount_settles_an_unmount_from_before_it(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    await bench.restart()
    bench.machine.interruptions.when("after umount", _die(bench))
    assert await bench.until_crash(bench.unmount())
    bench.machine.interruptions.reset()
    (unmount,) = bench.settings.journal_dir.iterdir()
    interrupted = unmount.read_bytes()
    await bench.start()
    bench.machine.interruptions.when("recorded commit", _die(bench))
    assert await bench.until_crash(bench.mount())
    bench.machine.interruptions.reset()
    unmount.write_bytes(interrupted)
    await bench.start()
    assert await bench.state() == "ready" and not bench.journal
