"""What one look sees, who shares it, and who hears of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from backy_core.machine import observer
from backy_core.machine.snapshot import Snapshot
from backy_core.sdk.errors import BackendFailure
from backy_core.sdk.models import MemberReport, Unreadable
from tests.core.machine.watched import GUID, Gate, Machine, disk, observing, report, until


async def test_before_the_first_look_there_is_an_empty_snapshot(machine: Machine) -> None:
    async with observing(machine, start=False) as it:
        assert (it.observer.snapshot.generation, it.observer.snapshot.drives) == (0, ())
        assert it.observer.snapshot.owned_types["fake"] == {"fake_member"}


async def test_a_look_sees_everything(machine: Machine) -> None:
    machine.bears = {"sda": "fake_member"}
    machine.devices.append(
        disk("md127", "", type="raid1", fstype="ext4", uuid="u", parents=("sda",))
    )
    async with observing(machine) as it:
        it.backend.reports = [report(device="md127")]
        snapshot = await it.observer.refresh()
        assert snapshot is it.observer.snapshot
        assert [drive.id.serial for drive in snapshot.drives] == ["A", "B"]
        seen = snapshot.report_for("fake", GUID)
        assert seen is not None
        assert [m.drive.serial for m in seen.members if m.drive] == ["A"]
        assert [s.type for s in it.backend.seen] == ["fake_member"]
        assert [s.type for s in snapshot.signatures["md127"]] == ["ext4"], "udev's word"
        assert "md127" not in machine.probed, "an array's node is never opened"
        assert snapshot.problems == {}


async def test_members_that_are_no_drive_stay_unknown(machine: Machine) -> None:
    async with observing(machine) as it:
        members = (
            MemberReport(device=None, state="missing"),
            MemberReport(device="sdz", state="active"),
        )
        it.backend.reports = [report(members=members)]
        (seen,) = (await it.observer.refresh()).reports["fake"]
        assert [member.drive for member in seen.members] == [None, None]


async def test_a_device_is_probed_once_until_something_may_have_changed_it(
    machine: Machine,
) -> None:
    async with observing(machine) as it:
        assert sorted(machine.probed) == ["sda", "sdb"]
        await it.observer.refresh()
        assert len(machine.probed) == 2
        it.observer.forget_signatures(["sda"])
        await it.observer.refresh()
        assert machine.probed[2:] == ["sda"]
        await it.observer.refresh(fresh_signatures_of=["sdb"])
        assert machine.probed[3:] == ["sdb"]
        machine.devices[0] = replace(machine.devices[0], diskseq=99)
        await it.observer.refresh()
        assert machine.probed[4:] == ["sda"], "another disk under the same name"
        machine.devices.pop(0)
        await it.observer.refresh()
        machine.devices.insert(0, disk("sda", "A", diskseq=99))
        await it.observer.refresh()
        assert machine.probed[5:] == ["sda"], "it was away"


async def test_a_change_during_the_probe_is_not_lost(machine: Machine) -> None:
    async with observing(machine, start=False) as it:
        machine.during_probe = lambda: it.observer.forget_signatures(["sda"])
        await it.observer.refresh()
        machine.during_probe = lambda: None
        machine.bears = {"sda": "ext4"}
        snapshot = await it.observer.refresh()
        assert [s.type for s in snapshot.signatures["sda"]] == ["ext4"]
        assert machine.probed == ["sda", "sdb", "sda"]


async def test_an_unreadable_device_is_unknown_and_asked_again(machine: Machine) -> None:
    machine.unreadable = {"sda"}
    async with observing(machine) as it:
        assert it.observer.snapshot.unprobed == {"sda": "I/O error"}
        assert "sda" not in it.observer.snapshot.signatures
        machine.unreadable = set()
        assert (await it.observer.refresh()).unprobed == {}


async def test_silence_is_not_blank(machine: Machine) -> None:
    machine.silent = True
    async with observing(machine) as it:
        assert set(it.observer.snapshot.unprobed) == {"sda", "sdb"}


async def test_excluded_drives_are_left_alone(machine: Machine) -> None:
    async with observing(machine, exclude_drives=("A",)) as it:
        assert machine.probed == ["sdb"]
        assert [drive.excluded for drive in it.observer.snapshot.drives] == [True, False]


async def test_a_failing_backend_keeps_its_last_reports(machine: Machine) -> None:
    async with observing(machine) as it:
        it.backend.reports = [report()]
        await it.observer.refresh()
        it.backend.reports = RuntimeError("broken")
        snapshot = await it.observer.refresh()
        assert snapshot.report_for("fake", GUID) is not None
        assert "fake" in snapshot.problems["fake"]
        assert "other" not in snapshot.problems
        with pytest.raises(BackendFailure, match="fake cannot inspect"):
            await it.observer.inspect("fake")
        it.backend.reports = []
        snapshot = await it.observer.refresh()
        assert (snapshot.reports["fake"], snapshot.problems) == ((), {})


async def test_a_drive_that_cannot_be_read_keeps_the_last_report_of_its_pools(
    machine: Machine,
) -> None:
    other = report(
        native_id="other", guid=None, members=(MemberReport(device="sdb", state="active"),)
    )
    doubt = Unreadable(device="sda", reason="checksum error")
    async with observing(machine) as it:
        it.backend.reports = [report(), other]
        await it.observer.refresh()
        it.backend.reports = [doubt, other]
        for _ in range(2):
            snapshot = await it.observer.refresh()
            kept, good = snapshot.report_for("fake", GUID), snapshot.report_for("fake", "other")
            assert kept is not None and good is not None and snapshot.problems == {}
            why = snapshot.unseen_because("fake", kept, ())
            assert why == "Backend fake cannot read drive A: checksum error"
            assert snapshot.unseen_because("fake", good, ()) is None
            assert [each.native_id for each in await it.observer.inspect("fake")] == ["other"]
        assert snapshot.unseen_because("fake", None, ("A",)) == why
        assert snapshot.unseen_because("fake", None, ("B",)) is None
        it.backend.reports = [report(health="degraded"), doubt]
        fresh = (await it.observer.refresh()).report_for("fake", GUID)
        assert fresh is not None and fresh.health == "degraded"
        assert it.observer.snapshot.unseen_because("fake", fresh, ("A",)) is None
        it.backend.reports = []
        assert (await it.observer.refresh()).reports["fake"] == ()


async def test_a_hanging_backend_delays_nobody(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observer, "_PUBLISH_AFTER_S", 0.05)
    async with observing(machine, start=False, inspect_deadline_s=2) as it:
        it.other.reports = [report()]
        it.backend.wait = lambda: asyncio.sleep(60)
        refreshing = asyncio.create_task(it.observer.refresh())
        await until(lambda: it.observer.snapshot.report_for("other", GUID), 3)
        assert not refreshing.done()
        assert len(it.observer.snapshot.drives) == 2
        assert len(await it.observer.inspect("other")) == 1
        snapshot = await refreshing
        assert set(snapshot.problems) == {"fake"}


async def test_callers_share_a_look_that_starts_after_they_asked(machine: Machine) -> None:
    async with observing(machine) as it:
        gate = Gate()
        it.backend.wait = gate.pass_through
        before = machine.reads
        first = asyncio.create_task(it.observer.refresh())
        await until(lambda: it.backend.asked == 2)
        machine.devices.append(disk("sdc", "C"))
        later = [asyncio.create_task(it.observer.refresh()) for _ in range(5)]
        await asyncio.sleep(0.02)
        assert machine.reads == before + 1
        gate.set()
        assert len((await first).drives) == 2
        assert {len((await each).drives) for each in later} == {3}
        assert machine.reads == before + 2


async def test_a_cancelled_caller_does_not_end_the_look_of_others(machine: Machine) -> None:
    async with observing(machine) as it:
        gate = Gate()
        it.backend.wait = gate.pass_through
        leaving = asyncio.create_task(it.observer.refresh())
        staying = asyncio.create_task(it.observer.refresh())
        await until(lambda: it.backend.asked == 2)
        leaving.cancel()
        gate.set()
        assert (await staying).generation > 0
        with pytest.raises(asyncio.CancelledError):
            await leaving


async def test_an_older_look_never_overwrites_a_newer_one(machine: Machine) -> None:
    async with observing(machine) as it:
        gate = Gate()
        it.backend.wait = gate.pass_through
        it.backend.reports = [report(health="degraded")]
        slow = asyncio.create_task(it.observer.refresh())
        await until(lambda: it.backend.asked == 2)
        it.backend.wait = lambda: asyncio.sleep(0)
        it.backend.reports = [report(health="active")]
        machine.devices.append(disk("sdc", "C"))
        await it.observer.inspect("fake")
        gate.set()
        await slow
        (seen,) = it.observer.snapshot.reports["fake"]
        assert seen.health == "active"
        assert len(it.observer.snapshot.drives) == 3


async def test_inspect_and_refresh_drives_look_afresh(machine: Machine) -> None:
    async with observing(machine) as it:
        it.backend.reports = [report()]
        asked = it.other.asked
        assert [each.native_id for each in await it.observer.inspect("fake")] == [GUID]
        assert it.observer.snapshot.report_for("fake", GUID) is not None
        machine.devices.append(disk("sdc", "C"))
        assert len((await it.observer.refresh_drives()).drives) == 3
        assert it.other.asked == asked


async def test_subscribers_hear_changes_and_only_changes(machine: Machine) -> None:
    async with observing(machine) as it:
        it.changes.clear()
        await it.observer.refresh()
        assert it.changes == []
        machine.devices.pop()
        await it.observer.refresh()
        ((before, after),) = it.changes
        assert (len(before.drives), len(after.drives)) == (2, 1)
        assert after is it.observer.snapshot


async def test_a_failing_subscriber_harms_nobody(machine: Machine) -> None:
    async with observing(machine, start=False) as it:
        heard: list[Snapshot] = []
        it.observer.subscribe(fail)
        it.observer.subscribe(lambda before, after: heard.append(after))
        unsubscribe = it.observer.subscribe(lambda before, after: heard.clear())
        unsubscribe()
        assert await it.observer.refresh() is heard[0]


def fail(before: Snapshot, after: Snapshot) -> None:
    raise ZeroDivisionError
