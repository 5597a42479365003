"""Deleting: it refuses before anything changed, wipes what is the pool's, and says what it left."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest
from backy_mdadm import inspect

from backy_core.machine.snapshot import Snapshot
from backy_core.operations.records import Operation
from backy_core.sdk.errors import BackyError, Conflict, DriveInUse, DriveNotEmpty, InvalidRequest
from backy_core.sdk.models import PoolReport, Presence, Probe
from backy_core.sdk.scope import Scope
from tests.fakes.agent import GUID, Bench
from tests.fakes.model import GIB, Content, Disk, Mounted, Superblock, Volume


async def _refused(bench: Bench, error: type[BackyError], words: str) -> None:
    """Deleting is refused, and leaves the machine and the metadata as they were."""
    await bench.agent.observer.refresh([""])
    before = _everything(bench)
    with pytest.raises(error, match=words):
        await bench.agent.pools.delete(GUID)
    assert _everything(bench) == before


def _everything(bench: Bench) -> object:
    machine = bench.machine
    drives = {serial: (d.superblock, d.content, d.parts) for serial, d in machine.disks.items()}
    inside = {name: array.volume.content for name, array in machine.arrays.items()}
    return repr((drives, machine.arrays, inside, machine.mounts, bench.journal, bench.remembered))


async def _pool(bench: Bench, *, mounted: bool = True) -> None:
    await bench.start()
    await bench.create()
    if not mounted:
        await bench.unmount()


def _message(bench: Bench) -> str:
    return str(_deletion(bench).message or "")


def _deletion(bench: Bench) -> Operation:
    return [op for op in bench.agent.operations.of_pool(GUID) if op.kind == "delete"][-1]


# refusals


@pytest.mark.parametrize("mounted", [True, False], ids=["mounted", "stopped"])
async def test_members_that_cannot_be_told_apart(bench: Bench, mounted: bool) -> None:
    await _pool(bench, mounted=mounted)
    bench.machine.disks["B"].serial = "A"
    await _refused(bench, Conflict, "More than one drive has the serial A")


@pytest.mark.parametrize("mounted", [True, False], ids=["mounted", "stopped"])
async def test_a_member_that_holds_something_else_as_well(bench: Bench, mounted: bool) -> None:
    await _pool(bench, mounted=mounted)
    bench.machine.disks["B"].content = [Content("xfs", "9-9", "holidays")]
    await _refused(bench, DriveNotEmpty, "B of this pool also holds xfs")


async def test_a_stopped_member_that_somebody_uses(bench: Bench) -> None:
    await _pool(bench, mounted=False)
    bench.machine.mounts.append(Mounted(bench.machine.disks["B"].name, "/data", "ext4"))
    await _refused(bench, DriveInUse, "in use")


# what else lies in the container


def _with_others(monkeypatch: pytest.MonkeyPatch, *others: str) -> None:
    """From now on the backend sees these in every pool beside its own volume."""

    arrays = inspect.arrays

    async def look(probe: Probe, only: Scope | None) -> tuple[PoolReport, ...]:
        reports = await arrays(probe, only)
        return tuple(
            report.model_copy(update={"others": others})
            for report in reports
            if isinstance(report, PoolReport)
        )

    monkeypatch.setattr(inspect, "arrays", look)


@pytest.mark.parametrize("mounted", [True, False], ids=["mounted", "stopped"])
async def test_what_somebody_made_in_the_container(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, mounted: bool
) -> None:
    await _pool(bench, mounted=mounted)
    _with_others(monkeypatch, "precious", "before now")
    await _refused(bench, DriveNotEmpty, "precious, before now")
    with pytest.raises(DriveNotEmpty, match="filesystem: precious") as error:
        await bench.agent.pools.delete(GUID, destroy_others=["before now"])
    assert "destroy_others=precious" in str(error.value.hint)
    assert await bench.delete(destroy_others=["before now", "precious"]) is None
    assert bench.machine.clean("A", "B")


@pytest.mark.parametrize("mounted", [True, False], ids=["mounted", "stopped"])
@pytest.mark.parametrize("content", [Content("LVM2_member", "x-y"), Content("gpt", "7-7")])
async def test_other_content_on_the_pools_device(
    bench: Bench, content: Content, mounted: bool
) -> None:
    await _pool(bench)
    (array,) = bench.machine.arrays.values()
    array.volume.content.append(content)
    if not mounted:
        assert await bench.unmount() is None
    await _refused(bench, DriveNotEmpty, content.type)
    assert bool(bench.machine.arrays) is mounted, "it is stopped again"
    assert await bench.delete(destroy_others=[f"{content.type} ({content.uuid})"]) is None


async def test_a_stopped_pool_that_cannot_run_any_more_is_deleted_unseen(bench: Bench) -> None:
    await _pool(bench, mounted=False)
    bench.machine.unplug("B")
    assert await bench.delete() is None
    assert any("not inspected" in line for line in _deletion(bench).outputs.lines)
    assert bench.machine.clean("A")


async def test_a_pool_that_holds_another_filesystem_than_the_one_that_is_remembered(
    bench: Bench,
) -> None:
    await _pool(bench)
    (array,) = bench.machine.arrays.values()
    array.volume.content[:] = [Content("xfs", "9-9", "holidays")]
    await _refused(bench, DriveNotEmpty, r"xfs \(holidays\)")


async def test_what_was_consented_to_lasts_over_a_crash(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _pool(bench, mounted=False)
    _with_others(monkeypatch, "precious")
    bench.machine.copy("B", onto="C")
    await bench.agent.observer.refresh([""])
    interruptions = bench.machine.interruptions

    def crash() -> None:
        interruptions.crash_at = len(interruptions.reached) - 1

    interruptions.when("recorded begun wipe-A", crash)
    deletion = bench.agent.pools.delete(GUID, destroy_others=["precious"], wipe_copies=["C"])
    assert await bench.until_crash(deletion)
    interruptions.reset()
    await bench.start()
    assert bench.machine.clean("A", "B", "C") and not bench.remembered


@pytest.mark.parametrize("opened", [False, True], ids=["imported", "opened before"])
async def test_content_that_shows_on_bare_members(bench: Bench, opened: bool) -> None:
    """As of md arrays with their superblock at the end."""
    bench.machine.superblocks_at_end = True
    bench.stopped_pool("A", "B")
    await bench.start()
    await bench.agent.pools.import_pool(GUID, None, None)
    if opened:
        assert await bench.mount() is None and await bench.unmount() is None
    assert await bench.delete() is None
    assert bench.machine.clean("A", "B") and not _message(bench)


async def test_strange_content_that_shows_on_bare_members(bench: Bench) -> None:
    bench.machine.superblocks_at_end = True
    volume = bench.stopped_pool("A", "B")
    volume.content[:] = [Content("crypto_LUKS", "5-5")]
    await bench.start()
    await bench.agent.pools.import_pool(GUID, None, None)
    await _refused(bench, DriveNotEmpty, "crypto_LUKS")
    assert await bench.delete(destroy_others=["crypto_LUKS (5-5)"]) is None


# members and copies


async def test_a_copy_of_a_member_is_named_and_left_alone(bench: Bench) -> None:
    await _pool(bench, mounted=False)
    bench.machine.copy("B", onto="C")
    await bench.agent.observer.refresh([""])
    assert await bench.delete() is None
    assert bench.machine.clean("A", "B")
    assert bench.machine.disks["C"].superblock is not None
    assert "left alone: C" in _message(bench)
    assert not bench.settings.tombstones_path.exists() or GUID not in (
        bench.settings.tombstones_path.read_text()
    ), "the copy is nobody's remains: it can be imported"


async def test_a_copy_is_wiped_where_it_was_named(bench: Bench) -> None:
    await _pool(bench, mounted=False)
    bench.machine.copy("B", onto="C")
    await bench.agent.observer.refresh([""])
    with pytest.raises(InvalidRequest, match="Z does not carry") as refused:
        await bench.agent.pools.delete(GUID, wipe_copies=["Z"])
    assert "drive C does" in str(refused.value.hint)
    assert await bench.delete(wipe_copies=["C"]) is None
    assert bench.machine.clean("A", "B", "C") and not _message(bench)


async def test_a_copy_beside_a_running_pool_is_left_alone(bench: Bench) -> None:
    await _pool(bench)
    bench.machine.copy("B", onto="C")
    await bench.agent.observer.refresh([""])
    assert await bench.state() == "ready"
    assert await bench.delete() is None
    assert bench.machine.clean("A", "B")
    assert bench.machine.disks["C"].superblock is not None


async def test_a_copy_that_udev_starts_meanwhile_is_not_torn_down(bench: Bench) -> None:
    """Once the originals are gone nothing keeps it from being assembled."""
    await _pool(bench, mounted=False)
    for serial, copy in (("A", "C"), ("B", "D")):
        if copy == "D":
            bench.machine.add("D")
        bench.machine.copy(serial, onto=copy)
    names = [bench.machine.disks[serial].name for serial in ("A", "B")]
    bench.machine.interruptions.when(
        f"after wipefs --all /dev/{names[1]}", bench.machine.assemble_all
    )
    await bench.agent.observer.refresh([""])
    assert await bench.delete() is None
    assert bench.machine.clean("A", "B") and bench.machine.arrays
    assert all(bench.machine.disks[serial].superblock for serial in ("C", "D"))


async def test_a_pool_that_udev_starts_once_more_is_released_once_more(bench: Bench) -> None:
    await _pool(bench)
    times = itertools.count()

    def assemble_once() -> None:
        if next(times) == 0:
            bench.machine.assemble_all()

    bench.machine.interruptions.when("recorded begun wipe-A", assemble_once)
    assert await bench.delete() is None
    assert bench.machine.clean("A", "B") and not bench.machine.arrays


async def test_a_member_put_in_by_hand_is_wiped_with_the_running_pool(bench: Bench) -> None:
    await _pool(bench)
    bench.machine.unplug("B")
    (array,) = bench.machine.arrays.values()
    bench.machine.join(array, bench.machine.disks["C"], rebuilt=True)
    await bench.agent.observer.refresh([""])
    assert await bench.delete() is None
    assert bench.machine.clean("A", "C")


@pytest.mark.parametrize("assembled", [False, True])
async def test_a_pool_with_a_copied_member_is_not_opened(bench: Bench, assembled: bool) -> None:
    await _pool(bench, mounted=False)
    bench.machine.copy("B", onto="C")
    if assembled:
        bench.machine.start_array("md1127", [bench.machine.disks[s] for s in "AB"], degraded=False)
    await bench.agent.observer.refresh([""])
    arrays = dict(bench.machine.arrays)
    with pytest.raises(Conflict, match=r"(B.*C|C.*B).*copy"):
        await bench.mount()
    assert bench.machine.arrays == arrays and not bench.machine.mounts and not bench.journal
    bench.machine.unplug("C")
    await bench.agent.observer.refresh()
    assert await bench.mount() is None


# what "deleted" is said of


async def test_a_member_that_was_used_for_something_else_is_named(bench: Bench) -> None:
    await _pool(bench, mounted=False)
    disk = bench.machine.disks["B"]
    disk.erase()
    disk.content = [Content("xfs", "9-9", "holidays")]
    await bench.agent.observer.refresh([""])
    assert await bench.delete() is None
    assert "B (it holds xfs (holidays))" in _message(bench)
    assert disk.content


async def test_another_drive_with_a_members_serial_is_not_taken_for_it(bench: Bench) -> None:
    await _pool(bench, mounted=False)
    bench.machine.unplug("B")
    bench.machine.disks["B"] = Disk("B", 2 * GIB, name="sdxq")
    await bench.agent.observer.refresh([""])
    assert await bench.delete() is None
    assert "B (another drive has its serial)" in _message(bench)
    stones = json.loads(bench.settings.tombstones_path.read_text())["tombstones"]
    assert [drive["serial"] for drive in stones[0]["drives"]] == ["B"]


async def test_a_tombstone_keeps_what_a_later_teardown_needs(bench: Bench) -> None:
    await _pool(bench, mounted=False)
    bench.machine.unplug("B")
    assert await bench.delete() is None
    await bench.restart()
    stone = bench.agent._core.tombstones.get(GUID)
    assert stone is not None
    assert (stone.level, stone.filesystem) == ("raid1", "ext4")
    assert [drive.serial for drive in stone.members] == ["A", "B"]
    assert [drive.serial for drive in stone.drives] == ["B"] and stone.stamps


async def test_what_returns_is_wiped_also_where_the_backend_does_not_see_it(bench: Bench) -> None:
    """The stamp is known; whether a lone member makes a pool is the backend's affair."""
    await _pool(bench, mounted=False)
    bench.machine.unplug("B")
    assert await bench.delete() is None
    bench.machine.plug("B")
    bench.machine.copy("B", onto="C")
    await bench.agent.observer.refresh([""])
    assert await bench.delete() is None
    assert bench.machine.clean("A", "B") and bench.machine.disks["C"].superblock


# once something was erased


async def test_a_refusal_after_content_was_erased_says_that_it_broke_off(bench: Bench) -> None:
    await _pool(bench)

    def written() -> None:
        bench.machine.disks["B"].content = [Content("xfs", "9-9", "holidays")]

    bench.machine.interruptions.when("after mdadm --stop", written)
    error = await bench.delete()
    assert error is not None and error.code == "SYSTEM_ERROR" and "half-way" in str(error)
    assert bench.machine.disks["B"].content


# a copied identity beside a pool that runs


@pytest.mark.parametrize("name", ["first", "last"])
async def test_a_copied_identity_does_not_speak_for_a_running_pool(bench: Bench, name: str) -> None:
    """Somebody else's array with our UUID, whatever its drive is called."""
    await _pool(bench)
    bench.machine.renumber()
    await bench.agent.observer.refresh([""])
    before = await bench.agent.pools.get(GUID)
    other = bench.machine.add("Z")
    other.name = {"first": "sdxa", "last": "sdxz"}[name]
    other.superblock = Superblock(GUID, "nas", "raid5", 3, 0, Volume([]), events=9999, view="A..")
    await bench.agent.observer.refresh([""])
    after = await bench.agent.pools.get(GUID)
    assert replace(after, created_at=None) == replace(before, created_at=None)
    report = bench.agent.observer.snapshot.report_for("mdadm", GUID)
    assert report is not None and report.guid == GUID
    assert await bench.delete() is None
    assert bench.machine.clean("A", "B") and other.superblock is not None


def test_what_the_kernel_runs_is_the_pool() -> None:
    def report(presence: Presence) -> PoolReport:
        return PoolReport(
            native_id=GUID,
            guid=GUID,
            level="raid1",
            presence=presence,
            health="inactive",
            expected_members=0,
            members=(),
        )

    presences: tuple[Presence, ...] = ("stopped", "active", "inactive")
    for order in itertools.permutations(presences):
        snapshot = Snapshot(reports={"mdadm": tuple(map(report, order))})
        found = snapshot.report_for("mdadm", GUID)
        assert found is not None and found.presence == "active"
