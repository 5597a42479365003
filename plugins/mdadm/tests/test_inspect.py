"""Inspect's reports of every sampled state, and of damaged text."""

from __future__ import annotations

import asyncio
import re

import pytest
from backy_mdadm.parse import dashed
from hypothesis import given, settings
from hypothesis import strategies as st

from backy_core.sdk.models import Signature

from .sample_probe import SAMPLES, SampleProbe, line, reports, unreadable

STATES = {
    "linearx2": "linear active/active whole [ubda:0:active ubdb:1:active]",
    "raid0x2-clean": "raid0 active/active whole [ubda:0:active ubdb:1:active]",
    "raid0x2-missing-member": "raid0 inactive/inactive degraded [ubda:0:active -:1:missing]",
    "raid10x4-clean": (
        "raid10 active/active whole [ubda:0:active ubdb:1:active ubdc:2:active ubdd:3:active]"
    ),
    "raid10x4-failed1": (
        "raid10 active/degraded degraded [ubdb:1:active ubdc:2:active ubdd:3:active ubda:-:failed]"
    ),
    "raid10x4-resyncing": (
        "raid10 active/resync whole [ubda:0:active ubdb:1:active ubdc:2:active ubdd:3:active]"
    ),
    "raid1x1-clean": "raid1 active/active whole [ubda:0:active]",
    "raid1x1-grown-to-2": "raid1 active/active whole [ubda:0:active ubdb:1:active]",
    "raid1x2-all-pulled": "raid1 active/failed degraded [-:0:missing -:1:missing]",
    "raid1x2-assemble-1of2": "raid1 inactive/inactive degraded [ubda:0:active -:1:missing]",
    "raid1x2-auto-read-only-pending": "raid1 active/resync whole [ubda1:0:active ubdb1:1:active]",
    "raid1x2-bitmap": "raid1 active/active whole [ubda:0:active ubdb:1:active]",
    "raid1x2-broken-linux612": "raid1 active/failed degraded [ubdb:1:active ubda:-:failed]",
    "raid1x2-broken-linux72": "raid1 active/failed degraded [ubdb:1:active ubda:-:failed]",
    "raid1x2-check": "raid1 active/failed whole [ubda:0:active ubdc:1:active ubdd:-:spare]",
    "raid1x2-clean": "raid1 active/active whole [ubda:0:active ubdb:1:active]",
    "raid1x2-clean-linux72": "raid1 active/active whole [ubda:0:active ubdb:1:active]",
    "raid1x2-clean-mounted-ext4": "raid1 active/active whole [ubda:0:active ubdb:1:active]",
    "raid1x2-clean-spare": "raid1 active/failed whole [ubda:0:active ubdc:1:active ubdd:-:spare]",
    "raid1x2-created-missing": "raid1 active/degraded degraded [ubda:0:active -:1:missing]",
    "raid1x2-degraded-removed": "raid1 active/failed degraded [ubda:0:active ubdb:1:stale]",
    "raid1x2-failed-disk": "raid1 active/degraded degraded [ubda:0:active ubdb:-:failed]",
    "raid1x2-inactive": "raid1 inactive/inactive degraded [ubda:0:active -:1:missing]",
    "raid1x2-inactive-then-run": "raid1 active/degraded degraded [ubda:0:active -:1:missing]",
    "raid1x2-old-superblock-removed": "raid1 active/degraded degraded [ubda:0:active ubdb:1:stale]",
    "raid1x2-readonly": "raid1 active/active whole [ubda:0:active ubdc:1:active ubdd:-:spare]",
    "raid1x2-recovering": "raid1 active/failed degraded [ubda:0:active ubdc:1:rebuilding]",
    "raid1x2-repair": "raid1 active/failed whole [ubda:0:active ubdc:1:active ubdd:-:spare]",
    "raid1x2-replaced": "raid1 active/active whole [ubdc:0:active ubdb:1:active ubda:-:failed]",
    "raid1x2-replacing": (
        "raid1 active/recovering whole [ubda:0:active ubdc:0:rebuilding ubdb:1:active]"
    ),
    "raid1x2-resyncing": "raid1 active/resync whole [ubda:0:active ubdb:1:active]",
    "raid1x2-split-running": "raid1 active/degraded degraded [ubdc:0:diverged ubdb:1:active]",
    "raid1x2-split-stopped": "raid1 stopped/inactive degraded [ubdc:0:diverged ubdb:1:active]",
    "raid1x2-stopped": "raid1 stopped/inactive whole [ubda:0:active ubdb:1:active]",
    "raid1x3-clean": "raid1 active/active whole [ubda:0:active ubdb:1:active ubdc:2:active]",
    "raid1x3-failed1": (
        "raid1 active/degraded degraded [ubdb:1:active ubdc:2:active ubda:-:failed]"
    ),
    "raid5x3-bad-blocks-linux72": (
        "raid5 active/degraded degraded [dm-0:0:active ubdb:1:active ubdc:2:active]"
    ),
    "raid5x3-building": (
        "raid5 active/recovering degraded [ubda:0:active ubdb:1:active ubdc:2:rebuilding]"
    ),
    "raid5x3-clean": "raid5 active/active whole [ubda:0:active ubdb:1:active ubdc:2:active]",
    "raid5x3-degraded": (
        "raid5 active/degraded degraded [ubda:0:active ubdc:2:active ubdb:-:failed]"
    ),
    "raid5x3-reshaping-to-4": (
        "raid5 active/reshape whole [ubda:0:active ubdb:1:active ubdc:2:active ubdd:3:active]"
    ),
    "raid5x3-two-failed": (
        "raid5 active/failed degraded [ubda:0:active ubdc:2:failed ubdb:-:failed]"
    ),
    "raid6x4-clean": (
        "raid6 active/active whole [ubda:0:active ubdb:1:active ubdc:2:active ubdd:3:active]"
    ),
    "raid6x4-resyncing": (
        "raid6 active/resync whole [ubda:0:active ubdb:1:active ubdc:2:active ubdd:3:active]"
    ),
    "raid6x4-two-failed": (
        "raid6 active/degraded degraded [ubdc:2:active ubdd:3:active ubda:-:failed ubdb:-:failed]"
    ),
}
GONE = {"raid1x2-all-pulled": ("sda", "sdb")}
SYNCING = {
    "raid1x2-resyncing": (0.7, 2.0),
    "raid1x2-recovering": (0.7, 2.0),
    "raid1x2-check": (0.7, 2.0),
    "raid5x3-building": (0.3, 3.6),
    "raid5x3-reshaping-to-4": (1.7, 14.7),
    "raid1x2-auto-read-only-pending": (None, None),
    "raid1x2-clean": (None, None),
}


WITHOUT_MDSTAT = {"raid1x2-auto-read-only-pending": "active"}


@pytest.mark.parametrize("state", STATES)
async def test_each_state(state: str) -> None:
    (report,) = await reports(SampleProbe(state, GONE.get(state, ())))
    assert line(report) == STATES[state]


@pytest.mark.parametrize("state", STATES)
async def test_each_state_while_mdstat_does_not_answer(state: str) -> None:
    """Facts that only mdstat shows are missing, but never an array or a member."""
    probe = SampleProbe(state, GONE.get(state, ()))
    (lines,) = await reports(probe)
    probe.waits = True
    (report,) = await reports(probe)
    assert report.members == lines.members and report.presence == lines.presence
    assert report.degraded is lines.degraded and report.sync_percent is None
    assert report.health == WITHOUT_MDSTAT.get(state, lines.health)


def test_every_sample_is_used() -> None:
    sampled = {path.name[3 : -len(".mdstat")] for path in SAMPLES.glob("*.mdstat")}
    assert sampled == set(STATES) | {"two-arrays-delayed", "ddf-raid1x2"}


@pytest.mark.parametrize("state", SYNCING)
async def test_progress(state: str) -> None:
    (report,) = await reports(SampleProbe(state))
    assert (report.sync_percent, report.sync_minutes) == SYNCING[state]


async def test_a_resync_that_ends_between_two_reads_shows_no_progress() -> None:
    """mdstat was read while it ran, sysfs after its end (seen on Linux 7.2.7)."""
    probe = SampleProbe("raid1x2-resyncing")
    probe.files["/sys/block/md0/md/sync_action"] = "idle\n"
    (report,) = await reports(probe)
    assert (report.health, report.sync_percent, report.sync_minutes) == ("active", None, None)


@pytest.mark.parametrize(
    ("state", "health"),
    [
        ("raid1x2-check", "check"),
        ("raid1x2-repair", "check"),
        ("raid1x2-recovering", "recovering"),
        ("raid1x2-degraded-removed", "degraded"),
    ],
)
async def test_an_array_that_is_not_broken_shows_what_it_does(state: str, health: str) -> None:
    """An attempt to fail the last member of these samples' array had left it broken."""
    probe = SampleProbe(state)
    probe.files["/sys/block/md0/md/array_state"] = "clean"
    (report,) = await reports(probe)
    assert report.health == health


@pytest.mark.parametrize("told_by", ["/proc/mdstat", "array_state"])
async def test_a_broken_array_is_failed_by_either_word(told_by: str) -> None:
    """While writes are pending ``array_state`` has another word, and Linux 6.1's mdstat none."""
    probe = SampleProbe("raid1x2-failed-disk")
    if told_by == "array_state":
        probe.files["/sys/block/md0/md/array_state"] = "broken"
    else:
        mdstat = probe.files["/proc/mdstat"]
        probe.files["/proc/mdstat"] = mdstat.replace("md0 : active", "md0 : broken")
    (report,) = await reports(probe)
    assert line(report) == "raid1 active/failed degraded [ubda:0:active ubdb:-:failed]"
    assert report.usable and "no longer writes" in (report.detail or "")


@pytest.mark.parametrize(
    ("file", "text"),
    [("state", "in_sync,write_error,want_replacement"), ("bad_blocks", "8192 8")],
)
async def test_a_member_that_refused_writes_degrades_its_array(file: str, text: str) -> None:
    """Linux 6.12.113 and 7.2.7 keep it in sync, and may read old data from it
    (``findings/md-raid5-forgets-writes-that-failed.sh``)."""
    probe = SampleProbe("raid5x3-clean")
    probe.files[f"/sys/block/md0/md/dev-ubdb/{file}"] = f"{text}\n"
    (report,) = await reports(probe)
    assert line(report) == (
        "raid5 active/degraded degraded [ubda:0:active ubdb:1:active ubdc:2:active]"
    )
    assert (report.detail or "").startswith("ubdb refused to read or write some blocks")


async def test_bad_blocks_of_a_failed_member_do_not_count() -> None:
    probe = SampleProbe("raid1x2-replaced")
    probe.files["/sys/block/md0/md/dev-ubda/bad_blocks"] = "8192 8\n"
    (report,) = await reports(probe)
    assert (report.health, report.detail) == ("active", None)


@pytest.mark.parametrize("told_by", ["/proc/mdstat", "array_state"])
async def test_an_unknown_state_is_doubt_and_never_absence(told_by: str) -> None:
    probe = SampleProbe("raid1x2-clean")
    if told_by == "array_state":
        probe.files["/sys/block/md0/md/array_state"] = "suspicious"
    else:
        mdstat = probe.files["/proc/mdstat"]
        probe.files["/proc/mdstat"] = mdstat.replace("md0 : active", "md0 : suspicious")
    (report,) = await reports(probe)
    assert line(report) == "raid1 active/failed whole [ubda:0:active ubdb:1:active]"
    assert not report.usable and report.device == "md0"
    assert report.detail == (
        "The kernel reports array md0 as 'suspicious', a state unknown to Backy."
    )


async def test_an_unreadable_state_is_doubt_while_the_array_is_listed() -> None:
    probe = SampleProbe("raid1x2-clean")
    del probe.files["/sys/block/md0/md/array_state"]
    (report,) = await reports(probe)
    assert (report.presence, report.device, report.usable) == ("inactive", "md0", False)
    assert report.detail == "The state of the array md0 cannot be read."


async def test_two_arrays_where_one_waits_for_the_other() -> None:
    reported = {
        report.device: report for report in await reports(SampleProbe("two-arrays-delayed"))
    }
    assert reported["md0"].health == reported["md1"].health == "resync"
    assert (reported["md0"].sync_percent, reported["md1"].sync_percent) == (2.0, None)
    assert reported["md1"].detail == "The resync waits for another array on the same drives."


async def test_a_running_array_is_read_without_a_process() -> None:
    probe = SampleProbe("raid5x3-building")
    await reports(probe)
    assert probe.commands == []


async def test_one_process_tells_all_strays() -> None:
    probe = SampleProbe("raid1x2-split-stopped")
    await reports(probe)
    assert probe.commands == [("mdadm", "--examine", "--config=none", "/dev/ubdb", "/dev/ubdc")]


async def test_our_own_stamp_gives_the_guid_and_others_none() -> None:
    (ours,) = await reports(SampleProbe("raid1x2-replacing"))
    (second,) = await reports(SampleProbe("raid1x2-clean"))
    assert ours.guid == ours.native_id
    assert (second.guid, second.name) == (None, "pool1")


async def test_version_0_arrays_go_by_the_uuid_that_mdadm_and_libblkid_print() -> None:
    """Sysfs prints its bytes in another order: 04030201-0807-…"""
    (report,) = await reports(SampleProbe("raid1x2-old-superblock-removed"))
    assert report.native_id == "01020304-0506-0708-090a-0b0c0d0e0f10"


async def test_firmware_raid_is_reported_without_an_identity() -> None:
    reported = await reports(SampleProbe("ddf-raid1x2"))
    assert [report.native_id for report in reported] == [
        "external:/md127/0/md126",
        "external:ddf/md127",
    ]
    assert all(
        report.guid is None and "Firmware RAID" in (report.detail or "") for report in reported
    )
    assert {report.release for report in reported} == {"mdadm --stop /dev/md126 /dev/md127"}


async def test_a_stray_that_cannot_be_read_is_left_behind_as_far_as_is_known() -> None:
    probe = SampleProbe("raid1x2-degraded-removed")
    probe.blocks["ubdb"] = "/dev/ubdb:\n garbage\n"
    (report,) = await reports(probe)
    assert [member.state for member in report.members] == ["active", "missing", "stale"]
    assert report.members[2].doubt == "Its superblock cannot be read."


async def test_nothing_has_diverged_where_no_member_is_in_use() -> None:
    """A hub lost its power: both drives are back under other names, and md holds neither."""
    probe = SampleProbe("raid1x2-all-pulled", ("sda", "sdb"))
    uuid = dashed(probe.files["/sys/block/md127/md/uuid"])
    for device, role in (("sdc", 0), ("sdd", 1)):
        text = SampleProbe("raid1x2-split-stopped").blocks[("ubdb", "ubdc")[role]]
        probe.blocks[device] = re.sub("/dev/ubd.:", f"/dev/{device}:", text)
        probe.signatures += (Signature(device=device, type="linux_raid_member", uuid=uuid),)
    (report,) = await reports(probe)
    strays = [member for member in report.members if member.device]
    assert report.health == "failed" and len(strays) == 2
    assert {(member.state, bool(member.doubt)) for member in strays} == {("stale", True)}


async def test_a_member_must_hold_the_component_and_what_lies_before_it() -> None:
    (report,) = await reports(SampleProbe("raid1x2-clean"))
    assert report.member_size == 256 << 20
    assert (await reports(SampleProbe("raid0x2-clean")))[0].member_size is None


async def test_the_devices_sectors_are_told() -> None:
    probe = SampleProbe("raid1x2-clean")
    assert (await reports(probe))[0].sector_size is None
    probe.files["/sys/block/md0/queue/logical_block_size"] = "4096\n"
    assert (await reports(probe))[0].sector_size == 4096


async def test_a_copy_of_a_member_is_never_used_beside_it() -> None:
    probe = SampleProbe("raid1x2-stopped")
    text = probe.blocks["ubda"]
    probe.blocks["ubdz"] = text.replace("/dev/ubda:", "/dev/ubdz:")
    probe.signatures += (probe.signatures[0].model_copy(update={"device": "ubdz"}),)
    (report,) = await reports(probe)
    states = sorted(member.state for member in report.members if member.slot == 0)
    assert states == ["active", "diverged"]


async def test_halves_assembled_apart_are_one_report() -> None:
    probe = SampleProbe("raid1x2-degraded-removed")
    probe.files["/proc/mdstat"] = probe.files["/proc/mdstat"].replace(
        "unused", "md126 : inactive ubdb[1](S)\n      261120 blocks super 1.2\n\nunused"
    )
    base = "/sys/block/md126/md"
    probe.files |= {f"{base}/array_state": "inactive", f"{base}/metadata_version": "1.2"}
    probe.files["/sys/block/md0/md/array_state"] = "clean"
    (report,) = await reports(probe)
    assert line(report).endswith("[ubda:0:active -:1:missing ubdb:-:diverged]")
    assert report.detail == "Members of this array were assembled separately, as md0 and md126."


async def test_two_running_arrays_with_one_uuid_are_both_in_doubt() -> None:
    """Copies of the drives were assembled beside them: neither array can be told for the pool."""
    probe = SampleProbe("raid1x2-clean")
    base, files = "/sys/block/md0", dict(probe.files)
    for path, text in files.items():
        if path.startswith(base):
            copied = path.replace(base, "/sys/block/md126")
            copied = copied.replace("dev-ubda", "dev-ubdc").replace("dev-ubdb", "dev-ubdd")
            probe.files[copied] = text
    line_of, *_ = files["/proc/mdstat"].partition("md0 :")[2].partition("unused")
    copy = line_of.replace("ubda", "ubdc").replace("ubdb", "ubdd")
    probe.files["/proc/mdstat"] += f"md126 :{copy}\n"
    probe.signatures += tuple(
        signature.model_copy(update={"device": {"ubda": "ubdc", "ubdb": "ubdd"}[signature.device]})
        for signature in probe.signatures
    )
    first, second = await reports(probe)
    assert first.native_id == second.native_id and {first.device, second.device} == {"md0", "md126"}
    held = {report.device: {m.device for m in report.members} for report in (first, second)}
    assert held == {"md0": {"ubda", "ubdb"}, "md126": {"ubdc", "ubdd"}}
    for report in (first, second):
        assert (report.usable, report.health) == (False, "failed")
        assert "2 arrays with the same UUID are running" in (report.detail or "")
        assert report.release == f"mdadm --stop /dev/{report.device}"


def mangled(text: str) -> st.SearchStrategy[str]:
    """Text with a piece cut out or replaced, as a torn read or another version would give."""
    place = st.integers(0, len(text))
    return st.builds(
        lambda start, length, middle: text[:start] + middle + text[start + length :],
        place,
        st.integers(0, 60),
        st.one_of(
            st.just(""), st.text(max_size=8), st.sampled_from(["\n", "none", "-1", "9" * 30])
        ),
    )


@settings(max_examples=40, deadline=None)
@given(data=st.data(), state=st.sampled_from(sorted(STATES)))
def test_damaged_text_gives_less_but_never_an_error(data: st.DataObject, state: str) -> None:
    probe = SampleProbe(state, GONE.get(state, ()))
    probe.files = {path: data.draw(mangled(text)) for path, text in probe.files.items()}
    probe.blocks = {node: data.draw(mangled(text)) for node, text in probe.blocks.items()}
    for report in asyncio.run(reports(probe)):
        assert report.native_id
        assert len(report.members) <= 5000


async def test_nothing_at_all() -> None:
    probe = SampleProbe("raid1x2-clean")
    probe.files, probe.signatures = {}, ()
    assert await reports(probe) == ()


async def test_a_superblock_that_cannot_be_read_puts_its_device_in_doubt() -> None:
    """No array is made up of signatures alone; a half that can be read speaks for the array."""
    probe = SampleProbe("raid1x2-stopped")
    whole = dict(probe.blocks)
    assert await unreadable(probe) == {}
    probe.blocks["ubdb"] = whole["ubdb"].replace("- correct", "- expected 12345678")
    (report,) = await reports(probe)
    assert line(report).startswith("raid1 stopped/inactive degraded [ubda:0:active ")
    assert report.detail == "The superblock of ubdb cannot be read."
    assert await unreadable(probe) == {"ubdb": "mdadm shows no valid superblock on it"}
    probe.blocks = {}
    assert await reports(probe) == ()
    assert await unreadable(probe) == {
        device: f"No md superblock detected on /dev/{device}" for device in whole
    }
