"""Pools from elsewhere: found, adopted, forgotten."""

from __future__ import annotations

import json

import pytest

from backy_core.sdk.errors import NotFound
from tests.fakes.agent import FS_UUID, GUID, OTHER, Bench
from tests.fakes.model import Content


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
    """It remembered only serials; from the first scan on the array's identity counts."""
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
