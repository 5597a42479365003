"""Pools may be mounted only below the mount roots, where only root can redirect the mount."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from backy_core.pools.admission import guards
from backy_core.sdk.errors import Conflict, InvalidRequest
from tests.fakes.agent import GUID, OTHER, Bench

_STRANGER = 65534


@pytest.mark.parametrize("path", ["/", "/etc", "/usr/x", "/etc/udev/rules.d", "/run/x", "/home/x"])
async def test_outside_of_the_mount_roots_nothing_is_mounted(bench: Bench, path: str) -> None:
    await bench.start()
    with pytest.raises(InvalidRequest, match="is not below") as refusal:
        await bench.agent.pools.create(bench.request(mount_path=path))
    assert "mount_roots" in str(refusal.value.hint)
    bench.assert_nothing_left("A", "B")


async def test_a_mount_root_itself_is_no_mount_path(bench: Bench) -> None:
    await bench.start(mount_roots=(bench.mounts,))
    with pytest.raises(InvalidRequest, match="is not below"):
        await bench.agent.pools.create(bench.request(mount_path=str(bench.mounts)))
    assert (await bench.create()).state == "ready"


async def test_the_setting_is_asked_again_at_each_mount(bench: Bench) -> None:
    """A pool that is known was mounted where that is not allowed any more."""
    await bench.start()
    await bench.create()
    await bench.unmount()
    await bench.stop()
    await bench.start(mount_root=bench.mounts / "below", mount_roots=(bench.mounts / "below",))
    with pytest.raises(InvalidRequest, match="is not below"):
        await bench.mount()
    assert await bench.mount(path=str(bench.mounts / "below/x")) is None


@pytest.mark.parametrize("part", ["theirs", "theirs/ours"])
async def test_a_directory_of_somebody_elses_is_refused(bench: Bench, part: str) -> None:
    await bench.start()
    (bench.mounts / "theirs/ours").mkdir(parents=True)
    os.chown(bench.mounts / part, _STRANGER, _STRANGER)
    with pytest.raises(InvalidRequest, match=f"{part} belongs to user 65534") as refusal:
        await bench.agent.pools.create(bench.request(mount_path=f"{bench.mounts}/theirs/ours/x"))
    assert "chown root:root" in str(refusal.value.hint)
    assert not bench.machine.commands


async def test_what_is_given_away_meanwhile_is_seen_right_before_the_mount(bench: Bench) -> None:
    await bench.start()
    (bench.mounts / "shared").mkdir()

    def give_away() -> None:
        os.chown(bench.mounts / "shared", _STRANGER, _STRANGER)

    bench.machine.interruptions.when("recorded done make-filesystem", give_away)
    view = await bench.create(mount_path=f"{bench.mounts}/shared/x")
    assert view.state == "failed" and "shared belongs to user" in str(view.error_message)
    assert bench.machine.clean("A", "B") and not bench.machine.mounts
    assert os.listdir(bench.mounts / "shared") == []


async def test_a_mount_that_came_to_lie_elsewhere_is_undone_there(bench: Bench) -> None:
    def move() -> None:
        mounts = bench.machine.mounts
        mounts[:] = [dataclasses.replace(mount, path="/elsewhere") for mount in mounts]

    await bench.start()
    bench.machine.interruptions.when("after mount", move)
    view = await bench.create()
    assert view.state == "failed" and "nothing is mounted" in str(view.error_message)
    bench.assert_nothing_left("A", "B")


async def test_mount_paths_that_are_taken_or_lead_elsewhere_are_refused(bench: Bench) -> None:
    await bench.start()
    full, link, inside = bench.mounts / "full", bench.mounts / "link", bench.mounts / "link" / "x"
    (full / "something").mkdir(parents=True)
    os.symlink("/etc", link)
    for path in (full, link, inside, bench.mounts / "full" / "something" / ".." / "x"):
        with pytest.raises(InvalidRequest):
            await bench.agent.pools.create(bench.request(mount_path=str(path)))
    await bench.create("A")
    for taken in (bench.path(), bench.path() + "/below", str(bench.mounts)):
        with pytest.raises((Conflict, InvalidRequest)):
            await bench.agent.pools.create(bench.request("B", guid=OTHER, mount_path=taken))


async def test_no_pool_is_mounted_over_or_in_the_agents_own_directories(
    bench: Bench, tmp_path: Path
) -> None:
    await bench.start()
    ours = bench.settings
    (tmp_path / "alias").symlink_to(ours.state_dir)
    aliased = ours.model_copy(update={"runtime_dir": tmp_path / "alias"})
    refused = [
        *(str(directory) for directory in ours.own_directories),
        *(str(directory / "deep" / "er") for directory in ours.own_directories),
        str(tmp_path),
        str(tmp_path.parent),
    ]
    for path in refused:
        with pytest.raises(InvalidRequest, match="own directory"):
            await bench.agent.pools.create(bench.request(mount_path=path))
    with pytest.raises(InvalidRequest, match="own directory"):
        guards.refuse_own_directories(
            aliased.model_copy(update={"state_dir": tmp_path / "elsewhere"}),
            str(ours.state_dir / "x"),
        )
    guards.refuse_own_directories(ours, str(tmp_path / "mnt" / "pool"))
    assert (await bench.create()).state == "ready"


async def test_a_remembered_mount_path_is_checked_again(bench: Bench) -> None:
    """The metadata file may be another machine's, or edited."""
    await bench.start()
    await bench.create()
    await bench.unmount()
    entry = bench.remembered[GUID]
    path = str(bench.settings.state_dir / "journal")
    await bench.agent._core.metadata.put(entry.model_copy(update={"last_mount_path": path}))
    with pytest.raises(InvalidRequest, match="own directory"):
        await bench.mount()
    assert not bench.machine.mounts and not bench.journal
