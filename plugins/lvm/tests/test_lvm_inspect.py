"""Reports from real outputs, and from damaged ones."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from backy_lvm.inspect import backy_inspect
from backy_lvm.parse import parse_report
from backy_lvm.standing import MachineView, describe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backy_core.sdk.errors import SystemFailure
from backy_core.sdk.models import PoolReport
from backy_core.sdk.scope import Scope

from .lvm_sample_probe import SAMPLES, SampleProbe, line, reports, states, unreadable

GUID = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
ALL_FIVE = "ubda:0:active ubdb:1:active ubdc:2:active ubdd:3:active ubde:4:active"

EXPECTED = {
    "members-only": "none stopped/inactive whole [ubda:-:spare ubdb:-:spare]",
    "linear-active": "linear active/active whole [ubda:0:active ubdb:1:active]",
    "linear-stopped": "linear stopped/inactive whole [ubda:0:active ubdb:1:active]",
    "linear-missing": "linear stopped/inactive degraded [ubda:0:active -:1:missing]",
    "raid0-active": "raid0 active/active whole [ubda:0:active ubdb:1:active]",
    "raid1-resync": "raid1 active/resync whole [ubda:0:active ubdb:1:active]",
    "raid1-active": "raid1 active/active whole [ubda:0:active ubdb:1:active]",
    "raid1-stopped": "raid1 stopped/inactive whole [ubda:0:active ubdb:1:active]",
    "raid1-missing": "raid1 stopped/inactive degraded [ubda:0:active -:1:missing]",
    "raid1-degraded": "raid1 active/degraded degraded [ubda:0:active -:1:stale]",
    "raid1-stale": "raid1 active/degraded degraded [ubda:0:active ubdb:1:stale]",
    "raid1-diverged": "raid1 active/degraded degraded [ubda:0:active ubdb:1:diverged]",
    "raid1-mismatch": "raid1 active/degraded degraded [ubda:0:active ubdb:1:diverged]",
    "raid1-spare": "raid1 active/degraded degraded [ubda:0:active -:1:stale ubdb:-:spare]",
    "raid1-recovering": "raid1 active/recovering degraded "
    "[ubda:0:active ubdb:1:rebuilding -:-:spare]",
    "raid5-check": "raid5 active/check whole [ubda:0:active ubdb:1:active ubdc:2:active]",
    "raid6-active": f"raid6 active/active whole [{ALL_FIVE}]",
    "raid6-missing-two": "raid6 stopped/inactive degraded "
    "[ubda:0:active ubdb:1:active ubdc:2:active -:3:missing -:4:missing]",
}


@pytest.mark.parametrize("state", EXPECTED)
async def test_a_state_is_told_in_one_line(state: str) -> None:
    probe = SampleProbe(state)
    (report,) = await reports(probe)
    assert line(report) == EXPECTED[state]
    assert (report.native_id, report.guid, report.usable) == (GUID, GUID, True)
    assert all(member.handle for member in report.members)
    assert (report.device is not None) == (report.presence == "active")
    assert len(probe.commands) == 1 + state.startswith(("raid1-stale", "raid1-diverged"))


async def test_progress_is_told_while_it_moves() -> None:
    percents = {
        state: (await reports(SampleProbe(state)))[0].sync_percent
        for state in ("raid1-resync", "raid1-recovering", "raid1-active", "raid1-stopped")
    }
    assert percents["raid1-recovering"] == 0.0
    assert percents["raid1-resync"] is not None
    assert percents["raid1-active"] is None and percents["raid1-stopped"] is None


async def test_a_member_must_hold_the_extents_of_the_fullest_and_what_lies_before_them() -> None:
    """33 extents of 4 MiB after 1 MiB, where all numbers are in the report; else it is not told."""
    (report,) = await reports(SampleProbe("full-raid1-missing-pv"))
    assert report.member_size == (1 << 20) + 33 * (4 << 20)
    assert (await reports(SampleProbe("raid1-active")))[0].member_size is None


async def test_the_sectors_of_an_active_volume_are_told() -> None:
    probe = SampleProbe("raid1-active")
    (report,) = await reports(probe)
    assert report.sector_size is None
    probe = SampleProbe("raid1-active")
    probe.files[f"/sys/block/{report.device}/queue/logical_block_size"] = "4096\n"
    assert (await reports(probe))[0].sector_size == 4096


@pytest.mark.parametrize(
    ("state", "lost"),
    [("raid10-missing-pair", True), ("raid10-missing-halves", False), ("linear-missing", True)],
)
async def test_what_too_few_members_hold_is_said(state: str, lost: bool) -> None:
    (report,) = await reports(SampleProbe(state))
    assert (report.detail is not None and "Too few" in report.detail) == lost
    assert report.enough != lost


def test_a_spare_holds_no_data() -> None:
    """Alone, a mark on it would keep the members out for good."""
    (group,) = parse_report((SAMPLES / "raid1-spare.json").read_text())
    spare = next(member.uuid for member in group.members if member.node == "/dev/ubdb")
    devices = {member.uuid: "ubdb" if member.uuid == spare else None for member in group.members}
    nothing: frozenset[str] = frozenset()
    view = MachineView(devices, (), frozenset({"ubdb"}), apart=nothing, held=nothing)
    assert not describe(group, view).enough


async def test_a_copied_member_is_not_taken_for_the_member() -> None:
    copied = "111111-1111-1111-1111-1111-1111-111111"
    (report,) = await reports(SampleProbe("raid6-copied-member", ("ubdf", copied)))
    assert line(report) == f"raid6 stopped/inactive whole [{ALL_FIVE} ubdf:-:diverged]"
    assert report.expected_members == 5


async def test_groups_of_others_are_known_by_their_own_uuid() -> None:
    (report,) = await reports(SampleProbe("foreign-linear"))
    assert (report.guid, report.name, report.usable) == (None, "data/files", True)
    assert len(report.native_id) == 38


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ("foreign-two", "single"),
        ("foreign-exported", "single"),
        ("full-thin", "single"),
        ("full-lvm-on-md", "whole drives"),
    ],
)
async def test_what_cannot_be_a_pool_is_reported_as_such(state: str, word: str) -> None:
    (report,) = await reports(SampleProbe(state))
    assert not report.usable and report.detail is not None and word in report.detail


@pytest.mark.parametrize("state", ["full-empty", "full-pv-only"])
async def test_drives_without_a_group_are_no_pools(state: str) -> None:
    assert await reports(SampleProbe(state)) == ()


async def test_no_process_is_started_where_no_drive_bears_lvm() -> None:
    probe = SampleProbe("full-empty")
    assert await reports(probe) == () and probe.commands == []


async def test_a_pool_that_lost_every_drive_is_seen_through_device_mapper() -> None:
    probe = SampleProbe("full-empty")
    probe.files = {
        "/sys/block/dm-3/dm/name": f"backy--{GUID.replace('-', '--')}-pool\n",
        "/sys/block/dm-2/dm/name": f"backy--{GUID.replace('-', '--')}-pool_rimage_0\n",
        "/sys/block/dm-1/dm/name": "data-files\n",
    }
    (report,) = await reports(probe)
    assert (report.native_id, report.device, report.health) == (GUID, "dm-3", "failed")
    assert (report.presence, report.members) == ("active", ())


@pytest.mark.parametrize(("code", "text"), [(3, None), (None, None), (0, ""), (0, "[1]")])
async def test_half_an_answer_is_none(code: int | None, text: str | None) -> None:
    probe = SampleProbe("raid1-active")
    probe.code, probe.text = code, probe.text if text is None else text
    with pytest.raises(SystemFailure):
        await reports(probe)


@given(state=st.sampled_from(states()), cut=st.integers(0, 20000), put=st.text(max_size=8))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_damaged_text_is_read_or_refused(state: str, cut: int, put: str) -> None:
    text = (SAMPLES / f"{state}.json").read_text()
    at = cut % len(text)
    with suppress(ValueError):
        parse_report(text[:at] + put + text[at + len(put) :])


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(
    state=st.sampled_from(sorted(EXPECTED)),
    kind=st.sampled_from(["vg", "pv", "lv", "pvseg", "seg"]),
    row=st.integers(0, 20),
    key=st.integers(0, 20),
    value=JSON,
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_a_damaged_column_gives_less(
    state: str, kind: str, row: int, key: int, value: object
) -> None:
    probe = SampleProbe(state)
    document = json.loads(probe.text)
    rows = document["report"][0].get(kind)
    if rows:
        chosen = rows[row % len(rows)]
        chosen[sorted(chosen)[key % len(chosen)]] = value
    probe.text = json.dumps(document)
    for report in await reports(probe):
        assert report.health and report.native_id


async def test_what_else_lies_in_the_group_is_told_by_name() -> None:
    (report,) = await reports(SampleProbe("linear-second-volume"))
    assert (report.guid, report.others) == (GUID, ("precious", "before"))
    (report,) = await reports(SampleProbe("linear-active"))
    assert report.others == ()
    (report,) = await reports(SampleProbe("foreign-two"))
    assert len(report.others) == 2, "which of them would be the pool cannot be told"


SICK = {
    "sick-text": ("ubdb", "Metadata location on /dev/ubdb at offset 4608 begins with invalid name"),
    "sick-header": ("ubdb", "wrong checksum f2185a6b in mda header on /dev/ubdb at 4096"),
}


@pytest.mark.parametrize("state", SICK)
async def test_a_damaged_drive_is_in_doubt_and_hides_no_other(state: str) -> None:
    """LVM puts a message into its JSON for one of them. An unused member stays certain."""
    probe = SampleProbe(state)
    device, reason = SICK[state]
    assert await unreadable(probe) == {device: reason}
    (report,) = await reports(probe)
    assert (report.name, report.presence) == ("good/pool", "active")
    probe.text = probe.text.replace('"pv_in_use":"used"', '"pv_in_use":""')  # as older LVM wrote it
    assert await unreadable(probe) == {device: reason}


async def test_what_lvm_leaves_out_is_in_doubt() -> None:
    """A group of another host's, a damaged label, whatever makes it fail for one group."""
    probe = SampleProbe("sick-system-id", ("ubdb", "other"), ("ubdd", ""))
    probe.code = 5
    assert await unreadable(probe) == dict.fromkeys(
        ("ubdb", "ubdd"),
        "Cannot access VG sid with system ID elsewhere with unknown local system ID",
    )
    assert [report.presence for report in await reports(probe)] == ["active"]


async def test_a_mirror_that_was_never_copied_is_not_whole() -> None:
    mirror, _ = await reports(SampleProbe("sick-nosync"))
    assert line(mirror) == "raid1 active/degraded whole [ubdb:0:active ubdc:1:active]"
    assert "--nosync" in (mirror.detail or "")


@pytest.mark.parametrize(
    ("column", "word", "presence", "health"),
    [
        ("lv_health_status", "partial", "active", "degraded"),
        ("lv_health_status", "refresh needed", "active", "degraded"),
        ("lv_health_status", "mismatches exist", "active", "active"),
        ("lv_health_status", "smells", "active", "degraded"),
        ("raid_sync_action", "dancing", "active", "degraded"),
        ("lv_active", "perhaps", "inactive", "inactive"),
    ],
)
async def test_a_word_that_is_not_known_is_doubt(
    column: str, word: str, presence: str, health: str
) -> None:
    probe = SampleProbe("raid1-active")
    document = json.loads(probe.text)
    (row,) = (row for row in document["report"][0]["lv"] if row["lv_name"] == "pool")
    row[column] = word
    probe.text = json.dumps(document)
    (report,) = await reports(probe)
    assert (report.presence, report.health) == (presence, health)
    assert health == "active" or word in (report.detail or "")


async def test_flags_are_read_in_either_form() -> None:
    """``binary_values_as_numeric`` of the host's configuration."""
    probe = SampleProbe("raid1-active")
    probe.text = probe.text.replace('"pv_missing":""', '"pv_missing":"0"')
    assert line((await reports(probe))[0]) == EXPECTED["raid1-active"]


def _mapped(group: str) -> dict[str, str]:
    return {
        "/sys/block/dm-3/dm/name": f"backy--{GUID.replace('-', '--')}-pool\n",
        "/sys/block/dm-3/dm/uuid": f"LVM-{group.replace('-', '')}{'x' * 32}\n",
    }


async def test_what_the_kernel_runs_is_the_pool() -> None:
    """Another group under its name and tag is none; nor is a pool stopped that LVM overlooks."""
    probe = SampleProbe("linear-stopped")
    probe.files = _mapped("another-group")
    reported = {report.native_id: report for report in await reports(probe)}
    assert (reported[GUID].presence, reported[GUID].device) == ("active", "dm-3")
    (stranger,) = (item for native_id, item in reported.items() if native_id != GUID)
    assert (stranger.guid, stranger.usable) == (None, False)
    probe.files = _mapped(stranger.native_id)
    (report,) = await reports(probe)
    assert (report.native_id, report.presence, report.device) == (GUID, "active", "dm-3")


async def test_a_scoped_inspection_tells_of_its_own_mappings_alone() -> None:
    """Else each other pool would seem to run without members."""
    probe = SampleProbe("raid1-active")
    probe.signatures = ()
    names = {"dm-3": GUID, "dm-5": GUID.replace("0a", "1a")}
    for name, guid in names.items():
        probe.files[f"/sys/block/{name}/dm/name"] = f"backy--{guid.replace('-', '--')}-pool\n"
    full = await backy_inspect(probe, None)
    scoped = await backy_inspect(probe, Scope(devices=frozenset({"dm-5"})))
    assert [r.device for r in full if isinstance(r, PoolReport)] == ["dm-3", "dm-5"]
    assert [r.device for r in scoped if isinstance(r, PoolReport)] == ["dm-5"]
