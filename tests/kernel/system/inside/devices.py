"""Block devices, and opening and locking them."""

from __future__ import annotations

import json
import subprocess

import pytest

from backy_core.sdk.errors import DriveInUse
from backy_core.system import blocks
from tests.kernel.system.inside.guest import MOUNT, UUID, drives, mirror, mounted, settle, sh


def test_devices_are_what_lsblk_shows() -> None:
    first, second, third, _ = drives()
    sh(f"printf 'label: gpt\\nsize=40M\\n,\\n' | sfdisk -q {third.path}")
    sh(f"mkfs.ext4 -qF -U {UUID} {third.path}1")
    name = mirror(first.path, second.path)
    sh(f"pvcreate -qy /dev/{name}; vgcreate -qy vgt /dev/{name}; lvcreate -qy -L 16M -n data vgt")
    sh(f"mkdir -p {MOUNT}; mount {third.path}1 {MOUNT}")
    settle()
    columns = "KNAME,PATH,MAJ:MIN,SIZE,TYPE,SERIAL,WWN,MODEL,VENDOR,FSTYPE,UUID,MOUNTPOINT,RO"
    shown = json.loads(sh(f"lsblk --json --bytes --list --output {columns},LOG-SEC,PKNAME"))
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
        assert device.ro == row["ro"]
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
