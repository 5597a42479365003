"""A deleted pool whose drives were not all there is remembered until they return."""

from __future__ import annotations

import json

import pytest

from backy_core.sdk.errors import Conflict, DriveInUse
from tests.fakes.agent import GUID, OTHER, Bench


async def test_deleting_with_an_absent_drive_remembers_it(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    await bench.unmount()
    bench.machine.unplug("B")
    assert await bench.delete() is None
    (op,) = [op for op in bench.agent.operations.of_pool(GUID) if op.kind == "delete"]
    assert "B" in str(op.message)
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
    with pytest.raises(Conflict, match="never reused"):
        await bench.agent.pools.create(bench.request())
    bench.stopped_pool("A", "B", guid=OTHER)
    await bench.agent.observer.refresh([""])
    with pytest.raises((Conflict, DriveInUse)):
        await bench.agent.pools.create(bench.request("C", guid=OTHER))


async def test_a_deletion_without_any_drive_says_what_it_could_not_wipe(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    await bench.unmount()
    bench.machine.unplug("A")
    bench.machine.unplug("B")
    assert await bench.delete() is None
    (op,) = [op for op in bench.agent.operations.of_pool(GUID) if op.kind == "delete"]
    assert "A, B" in str(op.message)
    bench.machine.plug("A")
    bench.machine.plug("B")
    await bench.agent.observer.refresh()
    assert await bench.available() == {"A": False, "B": False, "C": True}
    assert await bench.agent.pools.importable() == ()
