"""A pool's whole life on a machine where everything works."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from backy_core.pools.reading.members import NOTHING
from backy_core.sdk.errors import Conflict, InvalidRequest, NotFound, PoolBusy
from tests.fakes.agent import FS_UUID, GUID, OTHER, Bench
from tests.fakes.model import Content


async def test_a_pool_lives_from_create_to_delete(bench: Bench) -> None:
    await bench.start()
    made = await bench.create()
    assert (made.state, made.pool_status, made.is_mounted) == ("ready", "active", True)

    assert await bench.unmount() is None
    assert await bench.state() == "unmounted"
    assert not bench.machine.arrays and not bench.machine.mounts
    assert not bench.remembered[GUID].is_mounted

    assert await bench.mount() is None
    back = await bench.agent.pools.get(GUID)
    assert (back.state, back.mount_path) == ("ready", bench.path())

    assert await bench.delete() is None
    assert await bench.state() == "deleted"
    assert bench.remembered == {}
    bench.assert_nothing_left("A", "B")


async def test_everything_agrees_the_moment_a_creation_ends(bench: Bench) -> None:
    await bench.start()
    view = await bench.create(drive_labels={"A": "left"})
    (listed,) = await bench.agent.pools.list()
    assert listed == view
    assert view.usage is not None
    assert (view.usage.size, view.usage.used, view.usage.use_percent) == (8000, 1001, 13)
    assert [(d.serial, d.label, d.status) for d in view.drives] == [
        ("A", "left", "active"),
        ("B", None, "active"),
    ]
    drives = {d.drive.id.serial: d for d in await bench.agent.drives_service.list()}
    assert {serial: d.pool_guid for serial, d in drives.items()} == {
        "A": GUID,
        "B": GUID,
        "C": None,
    }
    assert not drives["A"].available and drives["C"].available
    on_disk = json.loads(bench.settings.metadata_path.read_text())["pools"]
    assert [(p["poolGroupGuid"], p["driveSerials"], p["isMounted"]) for p in on_disk] == [
        (GUID, ["A", "B"], True)
    ]
    assert on_disk[0]["mdDeviceName"] == view.device == "md1127"


async def test_every_pool_is_mounted_without_set_uid_programs_and_devices(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    await bench.unmount()
    await bench.mount()
    (mounted,) = bench.machine.mounts
    assert {"nosuid", "nodev"} <= mounted.options


async def test_a_dry_run_shows_what_runs_and_changes_nothing(bench: Bench) -> None:
    bench.machine.disks["A"].content = [Content("xfs", "old")]
    await bench.start()
    before = repr(bench.machine.disks)
    planned = await bench.agent.pools.dry_run(bench.request(wipe=True))
    assert repr(bench.machine.disks) == before
    assert not bench.machine.commands and not bench.journal and not bench.directories
    with pytest.raises(NotFound):
        await bench.agent.pools.get(GUID)

    await bench.create(wipe=True)
    lines, _ = await bench.agent.pools.outputs(GUID)
    ran = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    assert [
        _program(step.command) for step in planned.steps if step.title != "Clearing stale content"
    ] == [_program(line) for line in ran]
    create = next(step.command for step in planned.steps if "--create" in step.command)
    assert create in ran
    node = f"/dev/{bench.machine.disks['A'].name}"
    assert f"wipefs --all {node}" in [step.command for step in planned.steps]


async def test_a_dry_run_of_each_change_shows_what_runs(bench: Bench) -> None:
    await bench.start()
    await bench.create("A", "B")
    pools = bench.agent.pools
    bench.machine.unplug("B")
    await bench.agent.observer.refresh()
    adding: Any = {"serial": "C", "dev_path": None, "replaces": None, "wipe": False}
    changes: tuple[tuple[Callable[[], Any], Callable[[], Any]], ...] = (
        (lambda: pools.plan_add_drive(GUID, **adding), lambda: bench.add_drive("C")),
        (lambda: pools.plan_unmount(GUID), bench.unmount),
        (lambda: pools.plan_delete(GUID, NOTHING), bench.delete),
    )
    for dry_run, change in changes:
        await bench.mount()
        before = repr((bench.machine.disks, bench.machine.mounts, bench.directories))
        steps = await dry_run()
        assert repr((bench.machine.disks, bench.machine.mounts, bench.directories)) == before
        assert not bench.journal
        assert await change() is None
        lines, _ = await pools.outputs(GUID)
        ran = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        assert [step.command for step in steps] == ran


def _program(command: str) -> str:
    return command.split()[0]


async def test_older_content_that_shines_through_is_cleared(bench: Bench) -> None:
    bench.machine.shines_through = [Content("xfs", "ghost"), Content("LVM2_member", "ghost")]
    await bench.start()
    assert (await bench.create()).state == "ready"
    assert [c.type for c in bench.machine.content_of("md1127")] == ["ext4"]


async def test_the_pool_is_found_under_other_names_after_its_drives_moved(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    await bench.unmount()
    bench.machine.reboot()
    bench.machine.arrays.clear()
    assert await bench.mount() is None
    assert await bench.state() == "ready"


async def test_mounting_elsewhere_moves_the_remembered_path(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    await bench.unmount()
    elsewhere = str(bench.mounts / "elsewhere")
    assert await bench.mount(path=elsewhere) is None
    assert bench.remembered[GUID].last_mount_path == elsewhere
    assert (await bench.agent.pools.get(GUID)).mount_path == elsewhere


async def test_what_is_so_already_is_done(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    assert await bench.mount() is None
    assert await bench.mount(path=bench.path()) is None
    assert await bench.unmount() is None
    assert await bench.unmount() is None
    assert await bench.delete() is None
    assert await bench.delete() is None
    assert await bench.state() == "deleted"


async def test_mounting_a_pool_that_is_mounted_elsewhere_is_a_conflict(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    with pytest.raises(Conflict, match="is mounted at"):
        await bench.agent.pools.mount(GUID, str(bench.mounts / "third"))


async def test_a_pool_in_use_names_who_uses_it_and_stays(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    bench.machine.hold(bench.path() + "/file", pid=4711, name="rsync")
    for error in (await bench.unmount(), await bench.delete()):
        assert isinstance(error, PoolBusy)
        assert "target is busy" in error.message
        assert "rsync" in str(error.details) and "4711" in str(error.details)
        assert await bench.state() == "ready"
        assert bench.remembered[GUID].is_mounted
    assert not bench.journal


async def test_nothing_is_known_of_a_pool_nobody_made(bench: Bench) -> None:
    await bench.start()
    for call in (
        bench.agent.pools.get(OTHER),
        bench.agent.pools.mount(OTHER, None),
        bench.agent.pools.unmount(OTHER),
        bench.agent.pools.delete(OTHER),
        bench.agent.pools.outputs(OTHER),
    ):
        with pytest.raises(NotFound):
            await call


async def test_a_deleted_pool_is_forgotten_after_its_time(bench: Bench) -> None:
    await bench.start(deleted_retention_s=0.05)
    await bench.create()
    await bench.delete()
    assert await bench.state() == "deleted"
    await asyncio.sleep(0.06)
    with pytest.raises(NotFound):
        await bench.agent.pools.get(GUID)


async def test_an_agent_that_restarts_finds_its_pool_as_it_was(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    before = await bench.agent.pools.get(GUID)
    await bench.restart()
    assert await bench.agent.pools.get(GUID) == before


async def test_a_pool_made_long_ago_is_opened_at_start(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    bench.machine.reboot()
    await bench.restart()
    view = await bench.agent.pools.get(GUID)
    assert (view.state, view.mount_path) == ("ready", bench.path())


async def test_the_filesystem_must_be_the_one_that_was_made(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    await bench.unmount()
    for disk in (bench.machine.disks["A"], bench.machine.disks["B"]):
        assert disk.superblock is not None
        disk.superblock.volume.content[:] = [Content("ext4", FS_UUID)]
    error = await bench.mount()
    assert error is not None and "different filesystem" in error.message
    assert await bench.state() == "unmounted"
    assert not bench.machine.arrays, "opening goes back: the array is stopped again"


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
