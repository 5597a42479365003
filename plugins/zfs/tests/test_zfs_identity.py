"""Zpools and members told apart: of one name, under other paths, strangers and copies."""

from __future__ import annotations

import pytest

from .zfs_sample_probe import (
    LABELS,
    MEMBERS,
    STRANGER,
    ZPOOL,
    FailingProbe,
    SampleProbe,
    line,
    one,
    reports,
    sample,
    stamp,
)


async def test_pools_of_one_name_are_told_apart_by_their_guids() -> None:
    """The running pool is on drives without a label here, as on LUKS: it must not be exported or
    destroyed in place of the stopped one."""
    status = sample("openzfs-mirror-online.status").replace("virtio-LABSER", "luks-LABSER")
    probe = SampleProbe(status, {"vda1": STRANGER})
    probe.signatures = (stamp("vda1", "999", MEMBERS["vda1"]),)
    reported = {report.native_id: report for report in await reports(probe)}
    assert line(reported[ZPOOL]) == "mirror active/active whole [-:active -:active]"
    assert (reported["999"].presence, reported["999"].usable) == ("stopped", False)
    assert "export that one" in (reported["999"].detail or "")


async def test_a_stranger_of_the_same_name_does_not_hide_the_running_pool() -> None:
    status = sample("openzfs-mirror-online.status")
    probe = SampleProbe(status, {"vda9": STRANGER, **LABELS})
    probe.signatures = (
        stamp("vda9", "999", "111"),
        *(stamp(device, ZPOOL, guid) for device, guid in MEMBERS.items()),
    )
    reported = {report.native_id: report for report in await reports(probe)}
    assert line(reported[ZPOOL]) == "mirror active/active whole [vda1:active vdb1:active]"


async def test_a_foreign_pool_whose_drives_are_gone_keeps_its_identity() -> None:
    probe = FailingProbe(sample("openzfs-mirror-suspended.status"), {})
    probe.modules = ("tank",)
    probe.fails = False
    assert (await one(probe)).native_id == ZPOOL


async def test_members_by_kernel_name_are_known_by_their_labels() -> None:
    """As ``zpool create tank mirror sda sdb`` makes them."""
    status = sample("openzfs-mirror-online.status")
    labels = dict(LABELS)
    for device, serial in (("vda", "LABSER0"), ("vdb", "LABSER1")):
        status = status.replace(f"virtio-{serial}", device.ljust(len(f"virtio-{serial}")))
        link = f"/dev/disk/by-id/virtio-{serial}-part1"
        labels = {key: text.replace(link, f"/dev/{device}1") for key, text in labels.items()}
    report = await one(SampleProbe(status, labels))
    assert line(report) == "mirror active/active whole [vda1:active vdb1:active]"


async def test_a_former_member_that_was_used_apart_is_told_from_one_left_behind() -> None:
    """Its place is taken by another drive; its own label says that the running one was out."""
    path = "            path: '/dev/disk/by-id/virtio-LABSER0-part1'\n"
    apart = LABELS["vdb1"].replace(path, f"{path}            not_present: 1\n")
    running = LABELS["vda1"].replace(MEMBERS["vdb1"], "333").replace("LABSER1", "LABSER2")
    status = sample("openzfs-mirror-offline.status").replace("LABSER1", "LABSER2")
    report = await one(SampleProbe(status, {"vda1": running, "vdb1": apart}))
    states = {member.device: member.state for member in report.members}
    assert states["vdb1"] == "diverged"
    report = await one(SampleProbe(status, {"vda1": running, "vdb1": LABELS["vdb1"]}))
    states = {member.device: member.state for member in report.members}
    assert states["vdb1"] == "stale"


@pytest.mark.parametrize(("device", "state"), [("vdc1", "diverged"), ("vda", "stale")])
async def test_a_copy_of_a_member_in_use_is_none_of_the_pools(device: str, state: str) -> None:
    """Unless it is the same drive: a member at its end shows on the whole drive too."""
    status = sample("openzfs-mirror-online.status")
    probe = SampleProbe(status, {**LABELS, device: LABELS["vda1"]})
    probe.signatures = (
        *(stamp(name, ZPOOL, guid) for name, guid in MEMBERS.items()),
        stamp(device, ZPOOL, MEMBERS["vda1"]),
    )
    states = {member.device: member.state for member in (await one(probe)).members}
    assert states[device] == state and states["vda1"] == "active"


async def test_a_stranger_that_bears_our_name_has_no_say() -> None:
    """A zpool made under the name of a running pool of ours, by whoever."""
    guid = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
    ours = f"backy-{guid}"
    status = sample("openzfs-mirror-online.status").replace("tank", ours)
    probe = SampleProbe(status, {"vdc1": STRANGER.replace("mirror", "raidz"), **LABELS})
    probe.signatures = (
        stamp("vdc1", "999", "111", ours),
        *(stamp(device, ZPOOL, guid, ours) for device, guid in MEMBERS.items()),
    )
    reported = {report.native_id: report for report in await reports(probe)}
    assert line(reported[guid]) == "mirror active/active whole [vda1:active vdb1:active]"
    assert (reported["999"].guid, reported["999"].usable) == (None, False)
