"""Signatures: read, and wiped."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from backy_core.sdk.errors import DriveInUse
from backy_core.system import blocks, signatures
from tests.kernel.system.inside.guest import MOUNT, drives, mounted, settle, sh, signed, stop_arrays


async def wiped(node: str) -> list[str]:
    lines: list[str] = []
    await signatures.wipe_device(node, log=lines.append)
    return lines


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
