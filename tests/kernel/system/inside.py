"""Tests of :mod:`backy_core.system` and the observer that run as root inside a guest.

Started by ``test_system.py``; not collected on the host. Every test finds four blank drives and
leaves them so.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from backy_core.config import Settings
from backy_core.drives import unavailable_because
from backy_core.observer import Observer
from backy_core.plugins import load_backends
from backy_core.sdk.errors import DriveInUse, DriveNotEmpty, PoolBusy, SystemFailure
from backy_core.system import blocks, libmount, mount_holders, mounts, procs, signatures
from backy_core.system.blocks import BlockDevice
from backy_core.system.udev import KernelEvents

UUID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
MOUNT = "/mnt/x"


def sh(script: str) -> str:
    done = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{script}: {done.stdout}{done.stderr}"
    return done.stdout


def settle() -> None:
    sh("udevadm settle --timeout=20")


def stop_arrays() -> None:
    """udev may bring one back right after it was stopped, or hold it for a moment."""
    for _ in range(20):
        running = [path.name for path in Path("/sys/block").glob("md*")]
        if not running:
            return
        for name in running:
            subprocess.run(["mdadm", "--stop", f"/dev/{name}"], capture_output=True, check=False)
        time.sleep(0.2)
    raise AssertionError(f"still there: {running}")


def drives() -> list[BlockDevice]:
    found = [d for d in blocks.read_block_devices() if (d.serial or "").startswith("drive-")]
    assert len(found) == 4
    return found


async def wiped(node: str) -> list[str]:
    lines: list[str] = []
    await signatures.wipe_device(node, log=lines.append)
    return lines


def signed(node: str) -> list[str]:
    """What the system's own wipefs says, apart from the code under test."""
    return [row["type"] for row in json.loads(sh(f"wipefs -nJ {node}"))["signatures"]]


async def until(condition: Callable[[], object], what: str, within_s: float = 15) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        await asyncio.sleep(0.05)


@pytest.fixture(autouse=True)
def blank_drives() -> Iterator[None]:
    yield
    subprocess.run(["umount", MOUNT], capture_output=True, check=False)
    stop_arrays()
    nodes = [node for drive in drives() for node in parts_of(drive)]
    rows = json.loads(sh(f"wipefs -nJ {' '.join(nodes)}"))["signatures"]
    dirty = {f"/dev/{row['device']}" for row in rows}
    for node in sorted(dirty, reverse=True):
        sh(f"wipefs -aqf {node}")
    settle()


def parts_of(drive: BlockDevice) -> list[str]:
    return [drive.path, *(child.path for child in drive.children if child.type == "part")]


@contextmanager
def mounted(filesystem: str = "ext4") -> Iterator[BlockDevice]:
    drive = drives()[0]
    force = {"ext4": "-F -q", "btrfs": "-f -q", "xfs": "-f -q"}[filesystem]
    sh(f"mkfs.{filesystem} {force} {drive.path}; mkdir -p {MOUNT}; mount {drive.path} {MOUNT}")
    yield drive


@contextmanager
def process(*argv: str, cwd: str = "/") -> Iterator[int]:
    child = subprocess.Popen(argv, cwd=cwd, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    yield child.pid
    child.kill()
    child.wait()


def script(text: str, cwd: str = "/") -> Any:
    code = f"import mmap, os, time\n{text}\nprint('ready', flush=True)\ntime.sleep(600)"
    return process(sys.executable, "-c", code, cwd=cwd)


def mirror(first: str, second: str) -> str:
    sh(
        f"mdadm --create /dev/md/test --run --uuid={UUID} --name=test --homehost=any "
        f"--metadata=1.2 --assume-clean --level=1 --raid-devices=2 {first} {second}"
    )
    settle()
    return Path("/dev/md/test").resolve().name


# Devices


def test_devices_are_what_lsblk_shows() -> None:
    first, second, third, _ = drives()
    sh(f"printf 'label: gpt\\nsize=40M\\n,\\n' | sfdisk -q {third.path}")
    sh(f"mkfs.ext4 -qF -U {UUID} {third.path}1")
    name = mirror(first.path, second.path)
    sh(f"pvcreate -qy /dev/{name}; vgcreate -qy vgt /dev/{name}; lvcreate -qy -L 16M -n data vgt")
    sh(f"mkdir -p {MOUNT}; mount {third.path}1 {MOUNT}")
    settle()
    columns = "KNAME,PATH,MAJ:MIN,SIZE,TYPE,SERIAL,WWN,MODEL,VENDOR,FSTYPE,UUID,MOUNTPOINT,RO,RM"
    shown = json.loads(sh(f"lsblk --json --bytes --list --output {columns},LOG-SEC,TRAN,PKNAME"))
    wanted = {row["kname"]: row for row in shown["blockdevices"]}

    found = {device.name: device for device in blocks.read_block_devices()}

    assert found.keys() == wanted.keys()
    assert {found[name].type for name in found} >= {"disk", "part", "raid1", "lvm"}
    for kernel_name, row in wanted.items():
        device = found[kernel_name]
        assert (device.path, device.majmin) == (row["path"], row["maj:min"])
        assert (device.size, device.type) == (row["size"], row["type"])
        assert (device.serial, device.wwn) == (row["serial"], row["wwn"])
        assert (device.model, device.vendor) == (
            row["model"],
            (row["vendor"] or "").strip() or None,
        )
        assert (device.fstype, device.uuid) == (row["fstype"], row["uuid"])
        assert device.mountpoint == row["mountpoint"]
        assert (device.ro, device.removable) == (row["ro"], row["rm"])
        assert device.logical_sector == row["log-sec"]
        assert row["pkname"] is None or row["pkname"] in device.parents
    sh("vgremove -qfy vgt")
    for drive in drives():
        assert drive.id_link is not None and drive.serial is not None
        assert drive.id_link.endswith(drive.serial)
        assert drive.diskseq == blocks.diskseq(drive.name) is not None
    assert [child.name for child in found[third.name].children] == [f"{third.name}1"] * 1 + [
        f"{third.name}2"
    ]
    assert blocks.holders(first.name) == (name,)


def test_swap_is_seen() -> None:
    drive = drives()[0]
    sh(f"mkswap {drive.path}; swapon {drive.path}")
    assert drive.name in blocks.swaps()
    assert drives()[0].mountpoint == "[SWAP]"
    sh(f"swapoff {drive.path}")
    assert drive.name not in blocks.swaps()


# Exclusive opening, locking


async def test_exclusive_open_and_locks() -> None:
    with mounted() as drive:
        with pytest.raises(DriveInUse), blocks.open_exclusive(drive.path):
            pass
        free = drives()[1].path
        with blocks.open_exclusive(free), pytest.raises(DriveInUse), blocks.open_exclusive(free):
            pass
        async with blocks.disk_lock(free, 1):
            held = subprocess.run(["flock", "-n", "-x", free, "true"], check=False)
            assert held.returncode == 1
            with pytest.raises(DriveInUse, match="locked"):
                async with blocks.disk_lock(free, 0.1):
                    pass
        assert subprocess.run(["flock", "-n", "-x", free, "true"], check=False).returncode == 0


# Wiping


async def test_wipe_of_a_partitioned_disk_with_filesystems() -> None:
    drive = drives()[0]
    sh(f"printf 'label: gpt\\nsize=60M\\n,\\n' | sfdisk -q {drive.path}")
    settle()
    sh(f"mkfs.ext4 -qF {drive.path}1; mkswap {drive.path}2")
    with Path(f"{drive.path}1").open("r+b") as part:
        place = part.seek(-(1 << 20), os.SEEK_END)
        part.write(b"a label of ZFS")
    found = await signatures.probe_drive(drive.name)
    assert {"gpt", "ext4", "swap"} <= {signature.type for signature in found}

    lines = await wiped(drive.path)

    assert any("ext4" in line for line in lines)
    assert signed(drive.path) == []
    assert blocks.partitions(drive.name) == ()
    settle()
    assert await signatures.probe_drive(drive.name) == ()
    # The same partitions again would show what was left inside them.
    sh(f"printf 'label: gpt\\nsize=60M\\n,\\n' | sfdisk -q {drive.path}")
    settle()
    assert signed(f"{drive.path}1") == [] == signed(f"{drive.path}2")
    with Path(f"{drive.path}1").open("rb") as part:
        part.seek(place)
        assert not any(part.read())


@pytest.mark.parametrize("metadata", ["1.2", "1.0"])
async def test_wipe_of_an_array_member(metadata: str) -> None:
    first, second = drives()[:2]
    sh(
        f"mdadm --create /dev/md/test --run --assume-clean --metadata={metadata} "
        f"--level=1 --raid-devices=2 {first.path} {second.path}"
    )
    settle()
    with pytest.raises(DriveInUse):
        await wiped(first.path)
    assert signed(first.path) == ["linux_raid_member"]
    sh("mdadm --stop /dev/md/test")
    settle()
    stop_arrays()
    for drive in (first, second):
        await wiped(drive.path)
    settle()
    assert signed(first.path) == [] == signed(second.path)
    assert blocks.holders(first.name) == () == blocks.holders(second.name)
    assert "md" not in "".join(device.name for device in blocks.read_block_devices())


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        ("pvcreate -qy", "LVM2_member"),
        ("mkfs.btrfs -fq", "btrfs"),
        ("printf 'label: dos\\n,\\n' | sfdisk -q", "dos"),
    ],
)
async def test_wipe_of_other_content(make: str, kind: str) -> None:
    drive = drives()[0]
    sh(f"{make} {drive.path}")
    settle()
    assert kind in {signature.type for signature in await signatures.probe_drive(drive.name)}
    await wiped(drive.path)
    settle()
    assert signed(drive.path) == []
    assert blocks.partitions(drive.name) == ()


async def test_two_signatures_at_once_are_both_seen_and_wiped() -> None:
    drive = drives()[0]
    sh(f"mkfs.ext4 -qF {drive.path}; mkswap {drive.path}1 2>/dev/null || true")
    sh(f"mdadm --create /dev/md/test --run --metadata=1.0 --force -l1 -n1 {drive.path}")
    sh("mdadm --stop /dev/md/test")
    settle()
    found = {signature.type for signature in await signatures.probe_drive(drive.name)}
    assert found == {"ext4", "linux_raid_member"}
    stop_arrays()
    await wiped(drive.path)
    assert signed(drive.path) == []


async def test_wipe_with_a_partition_kept_open() -> None:
    drive = drives()[0]
    sh(f"printf 'label: gpt\\n,\\n' | sfdisk -q {drive.path}")
    settle()
    part = os.open(f"{drive.path}1", os.O_RDONLY)
    closing = asyncio.get_running_loop().call_later(1.5, os.close, part)
    await wiped(drive.path)
    assert closing.when() <= asyncio.get_running_loop().time()
    assert blocks.partitions(drive.name) == ()


async def test_wipe_of_a_mounted_disk_is_refused_and_harmless() -> None:
    with mounted() as drive:
        Path(MOUNT, "file").write_text("kept")
        with pytest.raises(DriveInUse):
            await wiped(drive.path)
        assert Path(MOUNT, "file").read_text() == "kept"
        assert signed(drive.path) == ["ext4"]


async def test_a_device_that_is_gone_is_not_blank() -> None:
    blank = drives()[0]
    with pytest.raises(signatures.ProbeFailed):
        await signatures.probe([blank.path, "/dev/nothing"])
    probed = await signatures.probe_each([blank.path, "/dev/nothing"])
    assert probed.found == {blank.name: ()}
    assert set(probed.failed) == {"nothing"}


# Mounts and who holds them


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
        assert [each.pid for each in holders] == [pid]
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


# Kernel events


class Heard:
    def __init__(self) -> None:
        self.blocks: list[tuple[str, str]] = []
        self.mdstat = 0
        self.mounts = 0

    def on_block(self, action: str, name: str) -> None:
        self.blocks.append((action, name))

    def on_mdstat(self) -> None:
        self.mdstat += 1

    def on_mounts(self) -> None:
        self.mounts += 1


@asynccontextmanager
async def listening() -> AsyncIterator[Heard]:
    heard, events = Heard(), KernelEvents()
    events.start(asyncio.get_running_loop(), heard.on_block, heard.on_mdstat, heard.on_mounts)
    yield heard
    events.stop()
    before = (len(heard.blocks), heard.mdstat, heard.mounts)
    sh("mount -t tmpfs none /mnt; umount /mnt")
    await asyncio.sleep(0.2)
    assert (len(heard.blocks), heard.mdstat, heard.mounts) == before


async def in_thread(text: str) -> None:
    await asyncio.to_thread(sh, text)


async def test_mounts_are_announced() -> None:
    async with listening() as heard:
        await asyncio.sleep(0.3)
        quiet = heard.mounts
        await asyncio.sleep(0.3)
        assert heard.mounts == quiet
        await in_thread("mkdir -p /mnt/t; mount -t tmpfs none /mnt/t")
        await until(lambda: heard.mounts > quiet, "the mount")
        after = heard.mounts
        await in_thread("umount /mnt/t")
        await until(lambda: heard.mounts > after, "the unmount")


async def test_arrays_are_announced() -> None:
    first, second = drives()[:2]
    async with listening() as heard:
        await asyncio.to_thread(mirror, first.path, second.path)
        await until(lambda: heard.mdstat, "/proc/mdstat")
        await until(lambda: any(n.startswith("md") for _, n in heard.blocks), "the array")
        await until(lambda: {first.name, second.name} <= {n for _, n in heard.blocks}, "members")
        await asyncio.sleep(0.5)
        quiet = heard.mdstat
        await asyncio.sleep(0.5)
        assert heard.mdstat == quiet, "mdstat goes on announcing the same change"
        await in_thread("mdadm --stop /dev/md/test")
        await until(lambda: heard.mdstat > quiet, "the stop")


async def test_an_unplug_and_a_plug_are_announced() -> None:
    last = drives()[-1]
    async with listening() as heard:
        with unplugged(last):
            await until(lambda: ("remove", last.name) in heard.blocks, "the unplug")
        await until(lambda: any(action == "add" for action, _ in heard.blocks), "the plug")


@contextmanager
def unplugged(drive: BlockDevice) -> Iterator[None]:
    """As the lab does it: the backend below the drive's LUN is unlinked and linked again."""
    lun = Path(f"/sys/block/{drive.name}/device").resolve().name.rpartition(":")[2]
    port = next(Path("/sys/kernel/config/target/loopback").glob("naa.*/tpgt_0/lun"))
    link = port / f"lun_{lun}" / "drive"
    backend = link.resolve()
    link.unlink()
    yield
    link.symlink_to(backend)


# The observer


@asynccontextmanager
async def observing(**settings: Any) -> AsyncIterator[Observer]:
    observer = Observer(Settings(**settings), load_backends(), KernelEvents())
    assert "mdadm" in load_backends().backends
    await observer.start()
    yield observer
    await observer.stop()


def presence(observer: Observer) -> str | None:
    report = observer.snapshot.report_for("mdadm", UUID)
    return report.presence if report else None


async def test_the_observer_follows_an_array() -> None:
    first, second = drives()[:2]
    async with observing() as observer:
        assert observer.snapshot.reports["mdadm"] == ()
        assert {d.id.serial for d in observer.snapshot.drives} >= {first.serial, second.serial}
        await asyncio.to_thread(mirror, first.path, second.path)
        await until(lambda: presence(observer) == "active", "the array by events")
        report = observer.snapshot.report_for("mdadm", UUID)
        assert report is not None
        serials = {member.drive.serial for member in report.members if member.drive}
        assert serials == {first.serial, second.serial}
        drive = observer.snapshot.drive_of(first.name)
        assert drive is not None
        error = unavailable_because(drive, observer.snapshot, pools={})
        assert isinstance(error, DriveInUse) and "mdadm pool" in error.message
        await in_thread("mdadm --stop /dev/md/test")
        await until(lambda: presence(observer) == "stopped", "the stop by events")
        error = unavailable_because(drive, observer.snapshot, pools={})
        assert error is not None
        fresh = await observer.inspect("mdadm")
        assert [each.presence for each in fresh] == ["stopped"]


async def test_the_observer_sees_writes_of_others_and_an_unplug() -> None:
    first, *_, last = drives()
    async with observing() as observer:
        drive = observer.snapshot.drive_of(first.name)
        assert drive is not None
        assert unavailable_because(drive, observer.snapshot, pools={}) is None
        await in_thread(f"mkfs.ext4 -qF {first.path}")
        await until(lambda: observer.snapshot.signatures_of(drive), "the filesystem by events")
        error = unavailable_because(drive, observer.snapshot, pools={})
        assert isinstance(error, DriveNotEmpty) and "ext4" in error.message
        assert (
            unavailable_because(drive, observer.snapshot, pools={}, allow_signatures=True) is None
        )
        with unplugged(last):
            serials = {d.id.serial for d in observer.snapshot.drives}
            await until(
                lambda: last.serial not in {d.id.serial for d in observer.snapshot.drives},
                "the unplug by events",
            )
            assert last.serial in serials
        await until(
            lambda: last.serial in {d.id.serial for d in observer.snapshot.drives}, "the plug"
        )
        settled = observer.snapshot.drives
        assert (await observer.refresh()).drives == settled


async def test_a_mounted_drive_is_not_available() -> None:
    with mounted("btrfs") as device:
        second = drives()[1]
        sh(f"btrfs -q device add -f {second.path} {MOUNT}")
        settle()
        async with observing() as observer:
            for name in (device.name, second.name):
                # As an admission looks: udev may never tell that the second disk joined.
                snapshot = await observer.refresh(fresh_signatures_of=[name])
                drive = snapshot.drive_of(name)
                assert drive is not None
                error = unavailable_because(drive, snapshot, pools={}, allow_signatures=True)
                assert isinstance(error, DriveInUse), name
                assert f"mounted at {MOUNT}" in error.message


async def test_no_process_is_started_while_nothing_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[object] = []
    real = asyncio.create_subprocess_exec

    async def counted(*argv: str, **options: Any) -> asyncio.subprocess.Process:
        started.append(argv)
        return await real(*argv, **options)

    async with observing() as observer:
        settle()
        await observer.refresh()
        await asyncio.sleep(1)
        monkeypatch.setattr(asyncio, "create_subprocess_exec", counted)
        began = time.monotonic()
        for _ in range(5):
            await observer.refresh()
        print(f"\na look without changes takes {(time.monotonic() - began) / 5 * 1000:.1f} ms")
        assert started == []
