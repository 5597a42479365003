"""Reports from real outputs."""

from __future__ import annotations

import pytest
from backy_zfs.hooks import backy_poll
from backy_zfs.inspect import zpools

from backy_core.sdk.errors import SystemFailure
from backy_core.sdk.models import PoolReport, Signature
from backy_core.sdk.scope import Scope

from .zfs_sample_probe import (
    LABELS,
    MEMBERS,
    ZPOOL,
    FailingProbe,
    SampleProbe,
    line,
    one,
    reports,
    sample,
    unreadable,
)


async def test_nothing_of_zfs_starts_no_process() -> None:
    probe = SampleProbe("", {})
    assert await reports(probe) == ()
    assert not probe.commands


@pytest.mark.parametrize(("state", "read"), [("online", 1), ("offline", 2)])
async def test_no_more_labels_are_read_than_tell_something(state: str, read: int) -> None:
    """One of a whole vdev; each, however many signatures there are, where a member is out."""
    probe = SampleProbe(sample(f"openzfs-mirror-{state}.status"), LABELS)
    await reports(probe)
    labels = [("zdb", "-l", "/dev/vda1"), ("zdb", "-l", "/dev/vdb1")][:read]
    ids = ("zpool", "list", "-H", "-o", "name,guid")
    assert probe.commands == [("zpool", "status"), ids, *labels]


async def test_a_pulled_drive_is_missed_before_zfs_misses_it() -> None:
    status = sample("openzfs-mirror-online.status")
    report = await one(SampleProbe(status, {"vda1": LABELS["vda1"]}))
    assert line(report) == "mirror active/degraded degraded [vda1:active -:missing]"
    assert [member.handle for member in report.members] == [None, MEMBERS["vdb1"]]


@pytest.mark.parametrize("imported", [True, False])
async def test_members_used_apart_have_diverged(imported: bool) -> None:
    """Each was imported without the other, as each one's label tells."""
    paths = {
        "vdb1": "            path: '/dev/disk/by-id/virtio-LABSER0-part1'\n",
        "vda1": "            path: '/dev/disk/by-id/virtio-LABSER1-part1'\n",
    }
    out = "            not_present: 1\n"
    labels = {name: text.replace(paths[name], paths[name] + out) for name, text in LABELS.items()}
    labels["vdb1"] = labels["vdb1"].replace("txg: 15", "txg: 9")
    status = sample("openzfs-mirror-offline.status") if imported else ""
    report = await one(SampleProbe(status, labels))
    assert [member.state for member in report.members] == ["active", "diverged"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("openzfs-mirror-online", "mirror active/active whole [vda1:active vdb1:active]"),
        ("openzfs-mirror-offline", "mirror active/degraded degraded [vda1:active vdb1:stale]"),
    ],
)
async def test_imported_pools(name: str, expected: str) -> None:
    report = await one(SampleProbe(sample(f"{name}.status"), LABELS))
    assert line(report) == expected
    assert (report.native_id, report.guid, report.source) == (ZPOOL, None, "tank")
    assert [member.handle for member in report.members] == [None, None], "by path, they are here"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("openzfs-mirror-suspended", "mirror active/failed degraded [-:missing -:active]"),
        (
            "openzfs-raidz1-resilvering",
            "raidz1 active/recovering whole [-:active -:active -:active -:spare]",
        ),
        (
            "openzfs-raidz1-scrubbing",
            "raidz1 active/check whole [-:active -:active -:active -:spare]",
        ),
        (
            "openzfs-raidz1-faulted",
            "raidz1 active/degraded degraded [-:active -:missing -:active -:spare]",
        ),
        ("openzfs-single-disk", "single active/active whole [-:active]"),
        ("openzfs-stripe2", "stripe active/active whole [-:active -:active]"),
        ("fuse-mirror-offline", "mirror active/degraded degraded [-:active -:missing]"),
    ],
)
async def test_imported_pools_whose_labels_cannot_be_read(name: str, expected: str) -> None:
    probe = SampleProbe(sample(f"{name}.status"), {})
    probe.signatures = (Signature(device="sdz", type="zfs_member", uuid="1", label="other"),)
    probe._labels = {"sdz": ""}
    report = next(report for report in await reports(probe) if report.presence == "active")
    assert line(report) == expected


async def test_a_pool_recovers_until_the_replaced_member_is_let_go() -> None:
    """zfs-fuse 0.7.0: for some seconds after the resilver both are in it (seen on Linux 6.1)."""
    last = "    disk/by-id/ubd-LABSER3  ONLINE       0     0     0  40.8M resilvered\n"
    both = (
        "    replacing-1             ONLINE       0     0     0\n"
        "\t      disk/by-id/ubd-LABSER2  ONLINE       0     0     0\n"
        "\t  " + last
    )
    text = sample("fuse-mirror-replaced.status")
    for status, health in ((text, "active"), (text.replace(last, both), "recovering")):
        probe = SampleProbe(status, {"sdz": ""})
        probe.signatures = (Signature(device="sdz", type="zfs_member", uuid="1", label="other"),)
        report = next(report for report in await reports(probe) if report.presence == "active")
        assert report.health == health
    assert [member.state for member in report.members] == ["active", "active", "rebuilding"]


async def test_an_exported_pool_is_told_by_its_labels() -> None:
    report = await one(SampleProbe("no pools available\n", LABELS))
    assert line(report) == "mirror stopped/inactive whole [vda1:active vdb1:active]"
    assert report.native_id == ZPOOL


async def test_a_member_with_an_older_label_was_left_behind() -> None:
    older = LABELS | {"vdb1": LABELS["vdb1"].replace("txg: 15", "txg: 9")}
    report = await one(SampleProbe("", older))
    assert line(report) == "mirror stopped/inactive degraded [vda1:active vdb1:stale]"


@pytest.mark.parametrize(
    ("flag", "state"), [("", "missing"), ("            not_present: 1\n", "failed")]
)
async def test_an_absent_member_was_in_use_or_out_already(flag: str, state: str) -> None:
    path = "            path: '/dev/disk/by-id/virtio-LABSER1-part1'\n"
    label = LABELS["vda1"].replace(path, path + flag)
    report = await one(SampleProbe("", {"vda1": label}))
    assert line(report) == f"mirror stopped/inactive degraded [vda1:active -:{state}]"


async def test_what_is_left_of_a_destroyed_foreign_pool_is_no_pool() -> None:
    labels = {name: text.replace("state: 0", "state: 2") for name, text in LABELS.items()}
    assert await reports(SampleProbe("", labels)) == ()


async def test_what_is_left_of_our_own_is_reported_until_it_is_wiped() -> None:
    guid = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
    labels = {
        name: text.replace("state: 0", "state: 2").replace("'tank'", f"'backy-{guid}'")
        for name, text in LABELS.items()
    }
    report = await one(SampleProbe("", labels, f"backy-{guid}"))
    assert (report.native_id, report.guid, report.presence) == (guid, guid, "stopped")
    assert report.detail == "It was destroyed, but its drives were not wiped."


@pytest.mark.parametrize(
    ("modules", "mounts"),
    [(("fm", "tank"), None), ((), "40 1 0:33 / /mnt/tank rw - fuse.zfs tank rw")],
    ids=["kernel", "fuse"],
)
async def test_an_imported_pool_is_not_taken_for_a_resting_one_when_zpool_fails(
    modules: tuple[str, ...], mounts: str | None
) -> None:
    probe = FailingProbe("", LABELS)
    assert (await one(probe)).presence == "stopped"
    probe.modules, probe.mounts = modules, mounts
    with pytest.raises(SystemFailure, match="cannot report"):
        await reports(probe)


async def test_a_label_that_cannot_be_read_puts_its_device_in_doubt() -> None:
    probe = SampleProbe("", {**LABELS, "vdb1": "failed to unpack label 0\n"})
    assert line(await one(probe)) == "mirror stopped/inactive degraded [vda1:active vdb1:missing]"
    assert await unreadable(probe) == {"vdb1": "its ZFS label cannot be read"}
    probe = SampleProbe("", dict.fromkeys(LABELS, ""))
    assert await reports(probe) == () and set(await unreadable(probe)) == set(LABELS)
    probe.signatures = (Signature(device="vdz", type="zfs_member"),)  # no more of it is left
    assert await unreadable(probe) == {"vdz": "its ZFS label cannot be read"}


class ImportedProbe(SampleProbe):
    """Of a kernel that has a zpool imported."""

    async def listdir(self, path: str) -> tuple[str, ...]:
        return ("fletcher_4_bench", "tank") if path == "/proc/spl/kstat/zfs" else ()


async def test_a_poll_reads_no_label() -> None:
    online = ImportedProbe(sample("openzfs-mirror-online.status"), LABELS)
    offline = ImportedProbe(sample("openzfs-mirror-offline.status"), LABELS)
    assert await backy_poll(online) == await backy_poll(online) != await backy_poll(offline)
    assert {*online.commands, *offline.commands} == {("zpool", "status")}


async def test_a_poll_starts_no_process_without_a_zpool() -> None:
    probe = SampleProbe("", {})
    assert (await backy_poll(probe), probe.commands) == ("", [])


async def test_a_poll_that_zpool_does_not_answer_is_a_failure() -> None:
    probe = FailingProbe("", {})
    probe.modules = ("tank",)
    with pytest.raises(SystemFailure, match="cannot report"):
        await backy_poll(probe)


async def test_a_scoped_inspection_asks_about_its_own_zpool_alone() -> None:
    status = sample("openzfs-mirror-online.status")
    guid = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
    both = status + status.replace("tank", f"backy-{guid}")
    full, scoped = FailingProbe(both, LABELS), FailingProbe(both, LABELS)
    for probe in (full, scoped):
        probe.fails, probe.modules = False, ("tank",)
    assert {report.name for report in await reports(full)} == {"tank", f"backy-{guid}"}
    scoped.signatures = ()
    (report,) = await zpools(scoped, Scope(pools=frozenset({guid})))
    assert isinstance(report, PoolReport) and report.native_id == guid
    assert not [command for command in scoped.commands if command[0] == "zdb"]
