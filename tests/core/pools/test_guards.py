"""Guards of drives: nothing is wiped without consent, whatever is on a drive or holds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backy_core.sdk.errors import (
    BackyError,
    Conflict,
    DriveInUse,
    DriveNotEmpty,
    DriveProtected,
    InvalidRequest,
    NotFound,
    SystemFailure,
)
from backy_core.system.raw_writers import RawWriter
from tests.fakes.agent import GUID, OTHER, Bench
from tests.fakes.model import Content, Disk, Mounted


def _content(bench: Bench) -> None:
    bench.machine.disks["A"].content = [Content("ext4", "1-2", "photos")]


def _partitions(bench: Bench) -> None:
    bench.machine.disks["A"].content = [Content("gpt")]
    bench.machine.disks["A"].parts = [[Content("vfat")], []]


def _mounted(bench: Bench) -> None:
    _content(bench)
    bench.machine.mounts.append(Mounted(bench.machine.disks["A"].name, "/data", "ext4"))


def _mounted_partition(bench: Bench) -> None:
    _partitions(bench)
    bench.machine.mounts.append(Mounted(bench.machine.disks["A"].name + "1", "/data", "vfat"))


def _system(bench: Bench) -> None:
    _content(bench)
    bench.machine.mounts.append(Mounted(bench.machine.disks["A"].name, "/var", "ext4"))


def _unknown_pool(bench: Bench) -> None:
    bench.stopped_pool("A", "C", guid=OTHER)


def _running_unknown_pool(bench: Bench) -> None:
    bench.stopped_pool("A", "C", guid=OTHER)
    bench.machine.assemble_all()


def _foreign_array(bench: Bench) -> None:
    bench.machine.make_pool(OTHER, "nas:data", "A", "C")


CASES: list[tuple[str, Callable[[Bench], None], type[BackyError], str, bool]] = [
    ("content", _content, DriveNotEmpty, "ext4", True),
    ("partitions", _partitions, DriveNotEmpty, "gpt", True),
    ("foreign-array", _foreign_array, DriveNotEmpty, "linux_raid_member", True),
    ("mounted", _mounted, DriveInUse, "/data", False),
    ("mounted-partition", _mounted_partition, DriveInUse, "/data", False),
    ("system", _system, DriveProtected, "system", False),
    ("unknown-pool", _unknown_pool, DriveInUse, "member", False),
    ("running-unknown-pool", _running_unknown_pool, DriveInUse, "member", False),
]


@pytest.mark.parametrize("wipe", [False, True])
@pytest.mark.parametrize(
    ("spoil", "error", "words", "consent_helps"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
async def test_a_drive_that_is_not_free_is_refused(
    bench: Bench,
    spoil: Callable[[Bench], None],
    error: type[BackyError],
    words: str,
    consent_helps: bool,
    wipe: bool,
) -> None:
    await bench.start()
    spoil(bench)
    await bench.agent.observer.refresh([""])
    before = repr(bench.machine.disks)
    if wipe and consent_helps:
        assert (await bench.create(wipe=True)).state == "ready"
        return
    with pytest.raises(error, match=words) as caught:
        await bench.agent.pools.create(bench.request(wipe=wipe))
    assert "A" in caught.value.message
    assert repr(bench.machine.disks) == before and not bench.machine.commands
    listed = {d.drive.id.serial: d for d in await bench.agent.drives_service.list()}
    assert "A" not in listed or not listed["A"].available


async def test_the_wipe_policy_always_is_consent_but_not_for_pools(bench: Bench) -> None:
    _content(bench)
    await bench.start(wipe_policy="always")
    assert (await bench.create()).state == "ready"
    lines, _ = await bench.agent.pools.outputs(GUID)
    assert any("wipefs" in line for line in lines)
    with pytest.raises(DriveInUse, match="pool backup-1"):
        await bench.agent.pools.create(bench.request("B", "C", guid=OTHER))


async def test_an_exclusion_that_excludes_nothing_is_logged(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.start(exclude_drives=("B", "SERIAL-OF-NO-DRIVE"))
    (warning,) = [text for text in caplog.messages if text.startswith("exclude_drives")]
    assert "'SERIAL-OF-NO-DRIVE'" in warning


async def test_protected_and_excluded_drives_are_refused(bench: Bench) -> None:
    await bench.start(exclude_drives=("B",))
    await bench.agent.drives_service.protect("A")
    for serial in ("A", "B"):
        with pytest.raises(DriveProtected, match=serial):
            await bench.agent.pools.create(bench.request(serial, wipe=True))
    await bench.restart()
    with pytest.raises(DriveProtected):
        await bench.agent.pools.create(bench.request("A"))
    await bench.agent.drives_service.unprotect("A")
    assert (await bench.create("A")).state == "ready"
    await bench.agent.drives_service.protect("A")
    with pytest.raises(DriveProtected):
        await bench.agent.pools.delete(GUID)
    assert await bench.state() == "ready"


async def test_a_drive_that_only_its_kernel_name_tells_apart(bench: Bench) -> None:
    """Another boot may give the name to another drive: nothing is remembered by it."""
    bench.machine.disks["C"].anonymous = True
    name = bench.machine.disks["C"].name
    agent = await bench.start()
    words = "only its kernel name tells it apart"
    for refused in (
        lambda: agent.drives_service.protect(name),
        lambda: agent.pools.create(bench.request(name, wipe=True)),
    ):
        with pytest.raises(Conflict, match=words) as caught:
            await refused()
        assert caught.value.hint
    await bench.create("A", "B")
    bench.machine.unplug("B")
    await agent.observer.refresh()
    with pytest.raises(Conflict, match=words):
        await bench.add_drive(name, wipe=True)
    listed = {each.drive.name: each for each in await agent.drives_service.list()}[name]
    assert (listed.drive.identified_by, listed.available) == ("name", False)
    assert words in (listed.unavailable_because or "")
    assert not agent._core.protection.serials() and not listed.protected


async def test_a_pool_on_a_drive_without_identity_is_not_imported(bench: Bench) -> None:
    bench.stopped_pool("A", "C", guid=OTHER)
    bench.machine.disks["C"].anonymous = True
    agent = await bench.start()
    assert await agent.pools.importable() == ()
    with pytest.raises(Conflict, match="only its kernel name"):
        await agent.pools.import_pool(OTHER, None, None)
    assert not bench.remembered


async def test_a_drive_that_a_program_has_open_for_writing(bench: Bench) -> None:
    """An exclusive open does not show it."""
    agent = await bench.start()
    machine = bench.machine
    machine.writers.append(RawWriter(7, "qemu", f"/dev/{machine.disks['B'].name}"))
    for call in (agent.pools.create, agent.pools.dry_run):
        with pytest.raises(DriveInUse, match="B is open for writing") as caught:
            await call(bench.request("A", "B", wipe=True))
        assert "qemu (pid 7" in str(caught.value) and caught.value.hint
    await bench.create("A", "C")
    machine.unplug("C")
    await agent.observer.refresh()
    with pytest.raises(DriveInUse, match="B is open for writing"):
        await bench.add_drive("B")
    machine.writers.clear()
    assert await bench.add_drive("B") is None


async def test_a_serial_two_drives_share_means_neither(bench: Bench) -> None:
    twin = Disk("A", name="sdxz")
    bench.machine.disks["twin"] = twin
    await bench.start()
    with pytest.raises(Conflict, match="A"):
        await bench.agent.pools.create(bench.request("A", "B", wipe=True))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"label": " "}, InvalidRequest),
        ({"label": "a\nb"}, InvalidRequest),
        ({"drive_serials": ()}, InvalidRequest),
        ({"drive_serials": ("A", "A")}, InvalidRequest),
        ({"drive_serials": ("A", "nobody")}, NotFound),
        ({"drive_labels": {"C": "x"}}, InvalidRequest),
        ({"mount_path": "relative"}, InvalidRequest),
        ({"mount_path": "/mnt/../etc/x"}, InvalidRequest),
        ({"mount_path": "/usr/x"}, InvalidRequest),
        ({"mount_path": "/mnt"}, InvalidRequest),
        ({"mount_path": "//mnt/x"}, InvalidRequest),
        ({"backend": "btrfs-magic"}, InvalidRequest),
        ({"level": "raid7"}, InvalidRequest),
        ({"level": "raid5"}, InvalidRequest),
        ({"filesystem": "ntfs"}, InvalidRequest),
        ({"guid": "3FA85F64-5717-4562-b3fc-2c963f66afa6"}, InvalidRequest),
        ({"guid": "00000000-0000-0000-0000-000000000000"}, InvalidRequest),
    ],
)
async def test_what_cannot_be_is_refused_before_anything_is_touched(
    bench: Bench, changes: dict[str, Any], error: type[BackyError]
) -> None:
    await bench.start()
    with pytest.raises(error):
        await bench.agent.pools.create(bench.request(**changes))
    assert not bench.machine.commands and not bench.journal and not bench.directories


async def test_a_missing_program_is_named_before_anything_is_touched(bench: Bench) -> None:
    bench.machine.programs.discard("mkfs.ext4")
    await bench.start()
    with pytest.raises(SystemFailure, match=r"mkfs\.ext4 is not installed"):
        await bench.agent.pools.create(bench.request())
    assert not bench.machine.commands


async def test_content_that_came_after_admission_is_not_wiped(bench: Bench) -> None:
    """Consent was given for what was there then."""
    _content(bench)
    await bench.start()
    photos = Content("xfs", "9-9", "holidays")

    def written_meanwhile() -> None:
        bench.machine.disks["A"].content = [photos]

    bench.machine.interruptions.when("recorded opened", written_meanwhile)
    view = await bench.create(wipe=True)
    assert view.state == "failed" and "xfs" in str(view.error_message)
    assert bench.machine.disks["A"].content == [photos]


async def test_content_that_came_on_a_blank_drive_after_admission_is_kept(bench: Bench) -> None:
    await bench.start()
    photos = Content("xfs", "9-9", "holidays")

    def written_meanwhile() -> None:
        bench.machine.disks["A"].content = [photos]

    bench.machine.interruptions.when("recorded opened", written_meanwhile)
    assert (await bench.create(wipe=True)).state == "failed"
    assert bench.machine.disks["A"].content == [photos]


@pytest.mark.parametrize("same_serial", [False, True])
async def test_another_drive_under_the_same_name_is_not_taken(
    bench: Bench, same_serial: bool
) -> None:
    await bench.start()
    photos = Content("xfs", "9-9", "holidays")
    other = Disk("A" if same_serial else "Z", size=123456789, content=[photos])
    bench.machine.interruptions.when("recorded opened", lambda: bench.machine.swap("A", other))
    view = await bench.create(wipe=True)
    assert view.state == "failed"
    assert other.content == [photos] and other.superblock is None


async def test_a_drive_that_is_taken_after_admission_is_not_touched(bench: Bench) -> None:
    _content(bench)
    await bench.start()

    def mounted_meanwhile() -> None:
        bench.machine.mounts.append(Mounted(bench.machine.disks["A"].name, "/data", "ext4"))

    bench.machine.interruptions.when("recorded opened", mounted_meanwhile)
    view = await bench.create(wipe=True)
    assert view.state == "failed"
    assert bench.machine.disks["A"].content


async def test_a_drive_pulled_during_its_creation_is_cleaned_when_it_returns(
    bench: Bench,
) -> None:
    await bench.start()
    bench.machine.interruptions.when("before mkfs", lambda: bench.machine.unplug("B"))
    bench.machine.interruptions.fail("mkfs")
    assert (await bench.create()).state == "failed"
    assert bench.machine.shelf["B"].superblock is not None
    assert len(bench.journal) == 1
    bench.machine.interruptions.reset()
    bench.machine.plug("B")
    await bench.agent.observer.refresh()
    await bench.settled()
    bench.assert_nothing_left("A", "B")
    assert await bench.available() == {"A": True, "B": True, "C": True}


signatures = st.lists(
    st.sampled_from([Content("ext4", "1"), Content("gpt"), Content("zfs_member", "2", "tank")]),
    max_size=2,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=signatures, parted=st.booleans(), mounted=st.booleans(), wipe=st.booleans())
async def test_no_combination_loses_data_without_consent(
    tmp_path_factory: pytest.TempPathFactory,
    content: list[Content],
    parted: bool,
    mounted: bool,
    wipe: bool,
) -> None:
    bench = Bench(tmp_path_factory.mktemp("guard"))
    disk = bench.machine.add("A", *content)
    disk.parts = [[Content("vfat")]] if parted else []
    if mounted:
        bench.machine.mounts.append(Mounted(disk.name, "/data", "ext4"))
    await bench.start()
    before = disk.signatures(disk.name), [*disk.parts]
    try:
        made = (await bench.create("A", wipe=wipe)).state == "ready"
    except BackyError:
        made = False
    assert made == (not mounted and (wipe or not (content or parted)))
    if not made:
        assert (disk.signatures(disk.name), disk.parts) == before
    await bench.stop()


async def test_a_pool_that_is_not_mounted_takes_no_drive(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    await bench.unmount()
    with pytest.raises(Conflict, match="is not running"):
        await bench.add_drive("C")
