"""Reports from real outputs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from backy_zfs.inspect import look

from backy_core.sdk.errors import SystemFailure
from backy_core.sdk.models import DriveId, PoolReport, ProbedDrive, Signature, Unreadable

SAMPLES = Path(__file__).parent / "samples"
ZPOOL = "13660010131292710373"
MEMBERS = {"vda1": "12222182766464564809", "vdb1": "15615058799986513753"}


@dataclass(frozen=True)
class Outcome:
    code: int | None
    stdout: str
    stderr: str = ""


class SampleProbe:
    """One state. ``labels``: text by device; all devices bear the pool's name."""

    drives = tuple(
        ProbedDrive(
            name=f"vd{letter}",
            node=f"/dev/vd{letter}",
            id=DriveId(serial=f"LABSER{number}", size=1),
            links=(f"virtio-LABSER{number}",),
        )
        for number, letter in enumerate("ab")
    )

    def __init__(self, status: str, labels: dict[str, str], name: str = "tank") -> None:
        self._status = status
        self._labels = labels
        self.commands: list[tuple[str, ...]] = []
        self.signatures = tuple(
            Signature(
                device=device, type="zfs_member", uuid=ZPOOL, label=name, member=MEMBERS.get(device)
            )
            for device in labels
            for _ in range(3)
        )

    async def read(self, *paths: str) -> tuple[str | None, ...]:
        return tuple(None for _ in paths)

    async def listdir(self, path: str) -> tuple[str, ...]:
        return ()

    async def run(self, *argv: str) -> Outcome:
        self.commands.append(argv)
        if argv == ("zpool", "status"):
            return Outcome(0, self._status)
        if argv[:2] == ("zpool", "list"):
            return Outcome(0, f"tank\t{ZPOOL}\nm\t{ZPOOL}\n")
        assert argv[:2] == ("zdb", "-l"), argv
        return Outcome(0, self._labels[argv[2].removeprefix("/dev/")])


async def reports(probe: SampleProbe) -> tuple[PoolReport, ...]:
    return tuple(each for each in await look(probe) if isinstance(each, PoolReport))


async def unreadable(probe: SampleProbe) -> dict[str, str]:
    """Reasons by device."""
    return {it.device: it.reason for it in await look(probe) if isinstance(it, Unreadable)}


def sample(name: str) -> str:
    return (SAMPLES / name).read_text()


LABELS = {"vda1": sample("openzfs-mirror-a.label"), "vdb1": sample("openzfs-mirror-b.label")}


async def one(probe: SampleProbe) -> PoolReport:
    (report,) = await reports(probe)
    return report


def line(report: PoolReport) -> str:
    members = " ".join(f"{each.device or '-'}:{each.state}" for each in report.members)
    whole = "degraded" if report.degraded else "whole"
    return f"{report.level} {report.presence}/{report.health} {whole} [{members}]"


async def test_nothing_of_zfs_starts_no_process() -> None:
    probe = SampleProbe("", {})
    assert await reports(probe) == ()
    assert not probe.commands


@pytest.mark.parametrize(("state", "read"), [("online", 0), ("offline", 2)])
async def test_no_more_labels_are_read_than_tell_something(state: str, read: int) -> None:
    """None of a whole pool; each, however many signatures there are, where a member is out."""
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
    report = next(each for each in await reports(probe) if each.presence == "active")
    assert line(report) == expected


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


def stamp(device: str, pool: str, member: str, name: str = "tank") -> Signature:
    return Signature(device=device, type="zfs_member", uuid=pool, label=name, member=member)


STRANGER = LABELS["vda1"].replace(ZPOOL, "999").replace("LABSER", "OTHER")


async def test_pools_of_one_name_are_told_apart_by_their_guids() -> None:
    """The running one is on drives that bear no label here, as on LUKS: it must not be exported
    or destroyed in the place of the one that rests."""
    status = sample("openzfs-mirror-online.status").replace("virtio-LABSER", "luks-LABSER")
    probe = SampleProbe(status, {"vda1": STRANGER})
    probe.signatures = (stamp("vda1", "999", MEMBERS["vda1"]),)
    found = {report.native_id: report for report in await reports(probe)}
    assert line(found[ZPOOL]) == "mirror active/active whole [-:active -:active]"
    assert (found["999"].presence, found["999"].usable) == ("stopped", False)
    assert "export that one" in (found["999"].detail or "")


async def test_a_stranger_of_the_same_name_does_not_hide_the_running_pool() -> None:
    status = sample("openzfs-mirror-online.status")
    probe = SampleProbe(status, {"vda9": STRANGER, **LABELS})
    probe.signatures = (
        stamp("vda9", "999", "111"),
        *(stamp(device, ZPOOL, guid) for device, guid in MEMBERS.items()),
    )
    found = {report.native_id: report for report in await reports(probe)}
    assert line(found[ZPOOL]) == "mirror active/active whole [vda1:active vdb1:active]"


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


class FailingProbe(SampleProbe):
    """``zpool`` fails; the kernel lists ``modules`` below the module and has ``mounts``."""

    modules: tuple[str, ...] = ()
    mounts: str | None = None
    fails = True

    async def read(self, *paths: str) -> tuple[str | None, ...]:
        return tuple(self.mounts for _ in paths)

    async def listdir(self, path: str) -> tuple[str, ...]:
        return self.modules

    async def run(self, *argv: str) -> Outcome:
        outcome = await super().run(*argv)
        failing = self.fails and argv[0] == "zpool"
        return Outcome(1, "", "cannot open") if failing else outcome


class JsonProbe(SampleProbe):
    """OpenZFS 2.3: members by their guids. ``answer`` replaces what ``zpool status -j`` says."""

    answer: Outcome | None = None

    def __init__(self, name: str, devices: str = "ab") -> None:
        labels = {f"vd{each}1": sample(f"openzfs23-mirror-{each}.label") for each in devices}
        super().__init__(sample("openzfs23-mirror-online.status"), labels)
        self._json = sample(f"openzfs23-{name}.json")
        self.signatures = tuple(
            Signature(
                device=device,
                type="zfs_member",
                uuid=_in_label(text, "pool_guid"),
                label="m",
                member=_in_label(text, "guid"),
            )
            for device, text in labels.items()
        )

    async def read(self, *paths: str) -> tuple[str | None, ...]:
        return tuple("2.3.2-2\n" if path.endswith("zfs/version") else None for path in paths)

    async def run(self, *argv: str) -> Outcome:
        if argv != ("zpool", "status", "-j", "-p"):
            return await super().run(*argv)
        self.commands.append(argv)
        return self.answer or Outcome(0, self._json)


def _in_label(text: str, field: str) -> str:
    return next(line.split()[1] for line in text.splitlines() if f"    {field}: " in line)


async def test_json_tells_members_and_the_pool_by_their_guids() -> None:
    probe = JsonProbe("mirror-online")
    report = await one(probe)
    assert line(report) == "mirror active/active whole [vda1:active vdb1:active]"
    assert report.native_id == probe.signatures[0].uuid
    assert [member.handle for member in report.members] == [it.member for it in probe.signatures]
    assert probe.commands == [("zpool", "status", "-j", "-p")], "and nothing else is asked"


async def test_json_and_a_pulled_drive() -> None:
    report = await one(JsonProbe("mirror-online", "a"))
    assert line(report) == "mirror active/degraded degraded [vda1:active -:missing]"


async def test_json_of_a_scrub() -> None:
    report = await one(JsonProbe("mirror-scrubbing"))
    assert (report.health, report.sync_percent, report.sync_minutes) == ("check", 0.0, None)


async def test_programs_older_than_the_module_are_read_as_text() -> None:
    probe = JsonProbe("mirror-online")
    probe.answer = Outcome(2, "", "invalid option 'j'")
    assert (await reports(probe))[0].presence == "active"
    assert probe.commands[:2] == [("zpool", "status", "-j", "-p"), ("zpool", "status")]


@pytest.mark.parametrize(
    "answer", [Outcome(0, '{"pools": {"m": '), Outcome(0, "{}"), Outcome(0, ""), Outcome(1, "")]
)
async def test_half_an_answer_in_json_is_none(answer: Outcome) -> None:
    probe = JsonProbe("mirror-online")
    probe.answer = answer
    with pytest.raises(SystemFailure):
        await reports(probe)


async def test_a_label_that_cannot_be_read_puts_its_device_in_doubt() -> None:
    probe = SampleProbe("", {**LABELS, "vdb1": "failed to unpack label 0\n"})
    assert line(await one(probe)) == "mirror stopped/inactive degraded [vda1:active vdb1:missing]"
    assert await unreadable(probe) == {"vdb1": "its ZFS label cannot be read"}
    probe = SampleProbe("", dict.fromkeys(LABELS, ""))
    assert await reports(probe) == () and set(await unreadable(probe)) == set(LABELS)
    probe.signatures = (Signature(device="vdz", type="zfs_member"),)  # no more of it is left
    assert await unreadable(probe) == {"vdz": "its ZFS label cannot be read"}


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
    found = {report.native_id: report for report in await reports(probe)}
    assert line(found[guid]) == "mirror active/active whole [vda1:active vdb1:active]"
    assert (found["999"].guid, found["999"].usable) == (None, False)


async def test_one_odd_pool_in_the_json_hides_no_other() -> None:
    probe = JsonProbe("mirror-online")
    document = json.loads(sample("openzfs23-mirror-online.json"))
    document["pools"]["odd"] = {**document["pools"]["m"], "name": "odd", "vdevs": None}
    probe.answer = Outcome(0, json.dumps(document))
    whole = probe.signatures
    probe.signatures = (*whole, stamp("vdc1", "5", "55", "odd"))
    assert [(it.name, it.presence) for it in await reports(probe)] == [("m", "active")]
    assert "odd cannot be read" in (await unreadable(probe))["vdc1"]
    probe.signatures = whole
    with pytest.raises(SystemFailure):
        await reports(probe)
