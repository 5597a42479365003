"""Drives that a pool takes, refuses before any change, and never wipes."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from backy_mdadm import hooks
from backy_mdadm.stamps import stamp

from backy_core.pools.admission.adding import has_place
from backy_core.pools.admission.geometry import refuse_mixed_sectors
from backy_core.sdk import hookimpl
from backy_core.sdk.errors import Conflict, DriveNotEmpty, InvalidRequest, PlanRefused
from backy_core.sdk.models import Level, MemberReport, MemberState
from backy_core.sdk.plan import BackendPlan, MemberIs, Step, WipeMember
from tests.fakes.agent import GUID, Bench
from tests.fakes.interruptions import How
from tests.fakes.kernel_files import COMPONENT
from tests.fakes.model import Array, Content

LEAST = COMPONENT + (1 << 20)


async def _refused(bench: Bench, serial: str, error: type[Exception], **how: Any) -> str:
    """The refusal's words; nothing was run, and every drive and the memory are as before."""
    disks, known = bench.machine.disks.values(), bench.remembered
    before, ran = [(d.superblock, [*d.content]) for d in disks], [*bench.machine.commands]
    with pytest.raises(error) as refused:
        await bench.add_drive(serial, **how)
    assert [(d.superblock, [*d.content]) for d in disks] == before
    assert (bench.machine.commands, bench.remembered) == (ran, known)
    assert not bench.journal
    return f"{refused.value} {getattr(refused.value, 'hint', '')}"


# a failed pool


@pytest.mark.parametrize("wipe", [False, True])
async def test_a_failed_pool_takes_no_drive(bench: Bench, wipe: bool) -> None:
    """Both members were lost and are back: between them they hold everything."""
    await bench.degraded()
    bench.machine.unplug("A")
    for serial in ("A", "B"):
        bench.machine.plug(serial)
    await bench.agent.observer.refresh()
    view = await bench.agent.pools.get(GUID)
    assert view.pool_status == "failed"
    assert {d.serial: d.status for d in view.drives} == {"A": "stale", "B": "stale"}
    for serial, how in (("A", {}), ("B", {}), ("C", {}), ("C", {"replaces": "A"})):
        said = await _refused(bench, serial, Conflict, wipe=wipe, **how)
        assert "has failed" in said and f"close {GUID}" in said


async def test_a_failed_pool_names_what_to_plug_in(bench: Bench) -> None:
    await bench.degraded()
    bench.machine.unplug("A")
    bench.machine.plug("B")
    await bench.agent.observer.refresh()
    assert "Plug in A, then unmount" in await _refused(bench, "C", Conflict)


async def test_a_pool_that_fails_meanwhile_has_nothing_wiped(bench: Bench) -> None:
    """Between the refusal to take B back and its wiping, A is lost too: B may be all there is."""
    await bench.degraded()
    bench.machine.plug("B")
    await bench.agent.observer.refresh()
    old = bench.machine.disks["B"].superblock
    assert old is not None
    bench.machine.disks["B"].superblock = dataclasses.replace(old, bitmap=False)
    bench.machine.interruptions.when("after mdadm --manage", lambda: _lose(bench, "A"))
    error = await bench.add_drive("B")
    assert "the pool has failed" in str(error)
    assert bench.machine.disks["B"].superblock is not None
    assert bench.remembered[GUID].drive_serials == ("A", "B") and not bench.journal


def _lose(bench: Bench, serial: str) -> None:
    if serial in bench.machine.disks:
        bench.machine.unplug(serial)


# members


async def test_a_member_is_wiped_only_after_the_pool_did_not_take_it_back(bench: Bench) -> None:
    await bench.degraded()
    bench.machine.plug("B")
    await bench.agent.observer.refresh()
    old = bench.machine.disks["B"].superblock
    assert old is not None
    bench.machine.disks["B"].superblock = dataclasses.replace(old, bitmap=False)
    del bench.machine.commands[:]
    assert await bench.add_drive("B") is None
    ran = [command.split(" /dev")[0] for command in bench.machine.commands]
    assert ran == ["mdadm --manage", "wipefs --all", "mdadm --manage"]
    assert "--re-add" in bench.machine.commands[0] and "--add" in bench.machine.commands[2]


def _mdadm_with(bench: Bench, **changed: Callable[..., object]) -> None:
    """From the next start on mdadm has these hooks instead of its own."""
    names = (name for name in dir(hooks) if name.startswith("backy_"))
    own = {name: getattr(hooks, name) for name in names}
    backend = ModuleType("mdadm")
    vars(backend).update(own | {name: hookimpl(hook) for name, hook in changed.items()})
    bench.backends = (("mdadm", backend),)


async def test_a_backend_that_wipes_a_member_unasked_is_refused(bench: Bench) -> None:
    def wipes(pool: Any, report: Any, drive: Any, replaces: Any) -> BackendPlan:
        plan = hooks.backy_plan_add_drive(pool, report, drive, replaces)
        wipe = Step(
            id="wipe",
            title="Wiping",
            run=WipeMember(drive=drive, bears=(stamp(pool),)),
            only_if=(MemberIs(drive=drive, states=("stale",)),),
            effect="destroys",
        )
        return plan.model_copy(update={"steps": (wipe, *plan.steps)})

    _mdadm_with(bench, backy_plan_add_drive=wipes)
    await bench.degraded()
    bench.machine.plug("B")
    await bench.agent.observer.refresh()
    assert "without trying to take it back" in await _refused(bench, "B", PlanRefused)


async def _replaced(bench: Bench) -> Array:
    """The pool's array; the place of B went to C, and B is plugged in again."""
    await bench.degraded()
    assert await bench.add_drive("C") is None
    array = bench.machine.array_of(GUID)
    assert array is not None
    array.members[-1].state = "in_sync"
    bench.machine.plug("B")
    return array


async def test_a_former_member_is_wiped_with_consent_alone(bench: Bench) -> None:
    """The pool does not need its content, and may not erase it without consent."""
    await _replaced(bench)
    await bench.agent.observer.refresh()
    await _refused(bench, "B", DriveNotEmpty, replaces="A")
    assert await bench.add_drive("B", replaces="A", wipe=True) is None


async def test_a_former_member_that_udev_has_given_to_the_array_is_taken_out_first(
    bench: Bench,
) -> None:
    array = await _replaced(bench)
    bench.machine.join(array, bench.machine.disks["B"])
    await bench.agent.observer.refresh()
    assert await bench.add_drive("B", replaces="A", wipe=True) is None
    assert bench.remembered[GUID].drive_serials == ("C", "B")


async def test_a_member_that_udev_gives_to_the_array_meanwhile_is_not_wiped(
    bench: Bench,
) -> None:
    """mdadm --incremental takes a turn between the refusal and the wiping, and makes it a spare."""

    def until_the_wiping(pool: Any, report: Any, drive: Any, replaces: Any) -> BackendPlan:
        plan = hooks.backy_plan_add_drive(pool, report, drive, replaces)
        return plan.model_copy(update={"steps": plan.steps[:2]})

    _mdadm_with(bench, backy_plan_add_drive=until_the_wiping)
    await bench.degraded()
    bench.machine.plug("B")
    await bench.agent.observer.refresh()
    disk, (array,) = bench.machine.disks["B"], bench.machine.arrays.values()
    assert disk.superblock is not None
    disk.superblock = dataclasses.replace(disk.superblock, bitmap=False)
    array.frozen = True
    bench.machine.interruptions.when(
        "recorded begun wipe-member", lambda: bench.machine.join(array, disk)
    )
    error = await bench.add_drive("B")
    assert error is not None and error.details == "drive B is spare", "no step failed"


async def test_a_member_that_cannot_be_compared_is_neither_taken_nor_wiped(bench: Bench) -> None:
    await bench.degraded()
    bench.machine.plug("B")
    await bench.agent.observer.refresh()
    bench.machine.disks["A"].superblock = None  # as if unreadable: nobody speaks for the array
    bench.machine.disks["A"].content = [Content("linux_raid_member", GUID)]
    for wipe in (False, True):
        assert "is unknown whether" in await _refused(bench, "B", Conflict, wipe=wipe)


# what it comes to


async def test_a_spare_that_stays_a_spare_is_a_failed_addition(bench: Bench) -> None:
    await bench.degraded()
    array = bench.machine.array_of(GUID)
    assert array is not None
    array.frozen = True
    before = bench.remembered
    said = str(await bench.add_drive("C"))
    assert "drive C is spare" in said
    assert said.endswith(f"kernel: md: {bench.machine.disks['C'].name}: cannot be used")
    assert bench.machine.clean("C") and (await bench.available())["C"]
    assert (bench.remembered, bench.journal) == (before, [])
    array.frozen = False
    assert await bench.add_drive("C") is None


async def test_an_exchange_that_fails_gives_the_new_drive_back(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    bench.machine.interruptions.fail("--replace", How.STATUS)
    assert await bench.add_drive("C", replaces="B") is not None
    assert bench.machine.clean("C") and (await bench.available())["C"]


async def test_no_member_in_use_is_exchanged_while_another_rebuilds(bench: Bench) -> None:
    await bench.degraded()
    assert await bench.add_drive("C") is None
    bench.machine.add("D")
    await bench.agent.observer.refresh()
    assert "relies on drive A" in await _refused(bench, "D", Conflict, replaces="A")
    assert "in use in pool" in await _refused(bench, "C", Conflict, replaces="A")
    assert await bench.add_drive("C") is None, "it is in place already"


@pytest.mark.parametrize(
    ("state", "slot", "place"),
    [
        ("active", None, True),
        ("rebuilding", 1, True),
        ("failed", 1, True),  # a zpool may call itself whole even so
        ("failed", None, False),  # md keeps a member that was replaced until it is removed
        ("spare", 2, False),
    ],
)
def test_who_has_a_place_that_another_drive_can_take(
    state: MemberState, slot: int | None, place: bool
) -> None:
    assert has_place(MemberReport(device="sda", slot=slot, state=state)) is place


async def test_a_pool_without_redundancy_takes_no_drive(bench: Bench) -> None:
    await bench.start()
    await bench.create(level="raid0")
    said = await _refused(bench, "C", InvalidRequest, replaces="A")
    assert "has no redundancy (level raid0)" in said
    assert "is complete" in await _refused(bench, "C", Conflict)


async def test_a_backend_that_copies_members_in_use_exchanges_them_without_redundancy(
    bench: Bench,
) -> None:
    info = hooks.backy_backend()
    copied = Level(name="raid0", min_drives=2, exchanges=True)
    _mdadm_with(bench, backy_backend=lambda: info.model_copy(update={"levels": (copied,)}))
    await bench.start()
    await bench.create()
    await bench.add_drive("C", replaces="A")
    assert any("--replace" in command for command in bench.machine.commands)


async def test_a_replaced_member_is_remembered_until_the_pool_lets_it_go(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    array = bench.machine.array_of(GUID)
    assert array is not None

    def keep_the_old_one() -> None:
        """md copies from it until the new one is filled."""
        for member in array.members:
            if member.state == "faulty":
                member.state, member.slot = "in_sync", 1

    bench.machine.interruptions.when("after mdadm --manage", keep_the_old_one)
    assert await bench.add_drive("C", replaces="B") is None
    entry = bench.remembered[GUID]
    assert (set(entry.drive_serials), entry.leaving) == ({"A", "B", "C"}, ("B",))
    assert await bench.add_drive("C", replaces="B") is None, "a repeat changes nothing"
    old = next(m for m in array.members if m.disk.serial == "B")
    old.state, old.slot = "faulty", None
    await bench.agent.observer.refresh()
    entry = bench.remembered[GUID]
    assert (set(entry.drive_serials), entry.leaving) == ({"A", "C"}, ())
    assert {d.serial for d in (await bench.agent.pools.get(GUID)).drives} == {"A", "C"}


# geometry


async def test_size_is_checked_to_the_byte(bench: Bench) -> None:
    bench.machine.add("small", size=LEAST - 1)
    bench.machine.add("exact", size=LEAST)
    await bench.degraded()
    said = await _refused(bench, "small", Conflict)
    assert f"it has {LEAST - 1} bytes" in said and f"needs {LEAST}" in said
    assert await bench.add_drive("exact") is None


@pytest.mark.parametrize(
    ("block", "fits"), [(512, False), (1024, False), (None, False), (4096, True)]
)
async def test_sectors_must_suit_the_filesystem(
    bench: Bench, block: int | None, fits: bool
) -> None:
    await bench.degraded()
    array = bench.machine.array_of(GUID)
    assert array is not None
    (made,) = array.volume.content
    array.volume.content[:] = [dataclasses.replace(made, block=block)]
    bench.machine.disks["C"].sector = 4096
    await bench.agent.observer.refresh()
    if fits:
        assert await bench.add_drive("C") is None
        return
    said = await _refused(bench, "C", Conflict)
    assert "sectors of 4096" in said and f"{block or 512}" in said


async def test_a_drive_of_smaller_sectors_always_fits(bench: Bench) -> None:
    for serial in ("A", "B"):
        bench.machine.disks[serial].sector = 4096
    await bench.degraded()
    assert await bench.add_drive("C") is None


async def test_a_new_pool_mixes_sectors_only_where_its_backend_can(bench: Bench) -> None:
    bench.machine.disks["B"].sector = 4096
    await bench.start()
    found = bench.agent.observer.snapshot.drives
    refuse_mixed_sectors(bench.agent._core, "mdadm", found)
    info = hooks.backy_backend().model_copy(update={"sectors": "equal"})
    backend = SimpleNamespace(info=info)
    core: Any = SimpleNamespace(host=SimpleNamespace(backends={"other": backend}))
    with pytest.raises(InvalidRequest, match="B has 4096 bytes"):
        refuse_mixed_sectors(core, "other", found)


async def test_a_member_that_left_during_an_operation_is_forgotten_after_it(bench: Bench) -> None:
    """The scan that shows it gone came before the operation ended, and no other scan follows."""
    await bench.start()
    await bench.create()
    entry = bench.remembered[GUID]
    update = {"drive_serials": (*entry.drive_serials, "C"), "leaving": ("C",)}
    await bench.agent._core.metadata.put(entry.model_copy(update=update))
    assert await bench.mount() is None
    async with asyncio.timeout(5):
        while bench.remembered[GUID].leaving:
            await asyncio.sleep(0.002)
    assert bench.remembered[GUID].drive_serials == entry.drive_serials


async def test_a_replacement_takes_the_missing_members_place(bench: Bench) -> None:
    await bench.degraded()
    assert await bench.add_drive("C") is None
    view = await bench.agent.pools.get(GUID)
    assert view.pool_status == "recovering" and view.sync_percent == 25.0
    assert {d.serial: d.status for d in view.drives} == {"A": "active", "C": "rebuilding"}
    assert bench.remembered[GUID].drive_serials == ("A", "C")


async def test_a_returned_member_is_taken_back(bench: Bench) -> None:
    await bench.degraded()
    bench.machine.plug("B")
    await bench.agent.observer.refresh()
    status = {d.serial: d.status for d in (await bench.agent.pools.get(GUID)).drives}
    assert status == {"A": "active", "B": "stale"}
    assert await bench.add_drive("B") is None
    assert (await bench.agent.pools.get(GUID)).pool_status == "active"
    assert set(bench.remembered[GUID].drive_serials) == {"A", "B"}
    assert await bench.add_drive("B") is None, "already in"


async def test_a_drive_with_data_is_added_only_with_consent(bench: Bench) -> None:
    await bench.degraded()
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
