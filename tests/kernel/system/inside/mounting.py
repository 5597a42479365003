"""Mounts, and the processes that hold them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from backy_core.sdk.errors import PoolBusy, SystemFailure
from backy_core.system import libmount, mount_holders, mounts, procs
from tests.kernel.system.inside.guest import MOUNT, drives, mounted, process, script, sh


@pytest.mark.parametrize("filesystem", ["ext4", "btrfs"])
async def test_holders_are_found(filesystem: str) -> None:
    with mounted(filesystem):
        Path(MOUNT, "sub").mkdir()
        Path(MOUNT, "file").write_text("x" * 5000)
        entry = mounts.mount_at(mounts.read_mounts(), MOUNT)
        assert entry is not None
        deleted = f"f = open('{MOUNT}/gone', 'w'); os.unlink('{MOUNT}/gone')"
        mapped = (
            f"f = os.open('{MOUNT}/file', os.O_RDONLY)\n"
            "m = mmap.mmap(f, 4096, prot=mmap.PROT_READ)\nos.close(f)"
        )
        with (
            script("pass") as bystander,
            script("pass", cwd=f"{MOUNT}/sub") as by_cwd,
            script(deleted) as by_file,
            script(mapped) as by_map,
        ):
            found = {p.pid: p for p in await mount_holders.processes_on(MOUNT)}
            assert {by_cwd, by_map} <= found.keys()
            assert bystander not in found and os.getpid() not in found
            assert by_file in found
            assert found[by_cwd].path == f"{MOUNT}/sub"
            assert found[by_cwd].user == "root"
            assert "time.sleep(600)" in found[by_cwd].command
            assert found[by_map].path == f"{MOUNT}/file"
        assert await mount_holders.processes_on(MOUNT) == ()
    assert await mount_holders.processes_on("/mnt/none") == ()


async def test_a_private_copy_of_the_mount_counts_and_a_slave_one_does_not() -> None:
    with mounted():
        hold = ("sh", "-c", "echo ready; exec sleep 600")
        with (
            process("unshare", "--mount", "--propagation", "private", *hold) as private,
            process("unshare", "--mount", "--propagation", "slave", *hold) as slave,
        ):
            pids = {each.pid for each in await mount_holders.processes_on(MOUNT)}
            assert private in pids
            assert slave not in pids


async def test_busy_then_killed_then_unmounted() -> None:
    with mounted(), script("pass", cwd=MOUNT) as pid:
        with pytest.raises(PoolBusy, match="target is busy"):
            await mounts.unmount(MOUNT)
        holders = await mount_holders.processes_on(MOUNT)
        assert [holder.pid for holder in holders] == [pid]
        assert await procs.kill(holders, grace_s=5) == ()
        assert not procs.is_alive(pid)
        await mounts.unmount(MOUNT)
        assert mounts.mount_at(mounts.read_mounts(), MOUNT) is None
        await mounts.unmount(MOUNT)


async def test_a_process_that_ignores_sigterm_is_killed() -> None:
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    with mounted(), script(stubborn, cwd=MOUNT) as pid:
        holders = await mount_holders.processes_on(MOUNT)
        began = time.monotonic()
        assert await procs.kill(holders, grace_s=0.5) == ()
        assert time.monotonic() - began >= 0.5
        assert not procs.is_alive(pid)


async def test_mount_and_usage() -> None:
    drive = drives()[0]
    sh(f"mkfs.ext4 -qF {drive.path}; mkdir -p {MOUNT}")
    await mounts.mount(drive.path, MOUNT, "ext4", "nosuid,nodev")
    entry = mounts.mount_at(mounts.read_mounts(), MOUNT)
    assert entry is not None
    assert {"nosuid", "nodev"} <= entry.options
    assert (entry.majmin, entry.fstype, entry.source) == (drive.majmin, "ext4", drive.path)
    Path(MOUNT, "data").write_bytes(os.urandom(7_000_000))
    sh("sync")
    usage = await mounts.filesystem_usage(MOUNT)
    row = sh(f"df -B1 --output=size,used,avail,pcent {MOUNT}").splitlines()[1].split()
    assert [str(usage.size), str(usage.used), str(usage.available)] == row[:3]
    assert f"{usage.use_percent}%" == row[3]
    with pytest.raises(SystemFailure) as error:
        await mounts.mount(drives()[1].path, "/mnt/none", "ext4", "nodev")
    assert "/mnt/none" in str(error.value)


async def test_a_mount_goes_where_the_descriptor_leads() -> None:
    drive = drives()[0]
    sh(f"mkfs.ext4 -qF {drive.path}; mkdir -p /mnt/swapped /mnt/away")
    place = os.open("/mnt/swapped", os.O_RDONLY)
    sh("mv /mnt/swapped /mnt/aside; ln -s /mnt/away /mnt/swapped")
    try:
        libmount.mount(drive.path, "/mnt/swapped", "ext4", "nosuid,nodev", place=place)
        assert [m.path for m in mounts.read_mounts() if m.source == drive.path] == ["/mnt/aside"]
        with pytest.raises(SystemFailure, match="symbolic link"):
            await mounts.mount(drive.path, "/mnt/swapped", "ext4", "nosuid,nodev")
    finally:
        os.close(place)
        sh("umount /mnt/aside; rm -r /mnt/swapped /mnt/away /mnt/aside")


async def test_what_libmount_says_of_a_mount_is_told() -> None:
    drive, told = drives()[0], list[str]()
    Path(MOUNT).mkdir(exist_ok=True)
    with pytest.raises(SystemFailure) as error:
        await mounts.mount(drive.path, MOUNT, "ext4", "nodev", told.append)
    assert "bad superblock" in (error.value.details or "")
    assert told == [f"mount: {MOUNT}: {error.value.details}"]
    assert mounts.mount_at(mounts.read_mounts(), MOUNT) is None

    told.clear()
    sh(f"mkfs.ext4 -qF {drive.path}; udevadm settle; blockdev --setro {drive.path}")
    try:
        await mounts.mount(drive.path, MOUNT, "ext4", "nosuid,nodev", told.append)
        entry = mounts.mount_at(mounts.read_mounts(), MOUNT)
        assert entry is not None and {"ro", "nosuid", "nodev"} <= entry.options
        assert "read-only" in " ".join(told), told
    finally:
        sh(f"umount {MOUNT}; blockdev --setrw {drive.path}")
