"""Copies of a mount that an unmount reaches, and the kernel's exports. The other ways to find
holders are proven on a real kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from backy_core.system import mount_holders
from backy_core.system.mount_holders import Filesystem
from backy_core.system.mountinfo import MountEntry, parse_mountinfo
from backy_core.system.namespaces import Reach

OURS = parse_mountinfo(
    b"1 0 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
    b"2 1 9:127 / /mnt/pool rw shared:2 - ext4 /dev/md127 rw\n"
)


def _stays(text: bytes, *more: bytes) -> bool:
    theirs = parse_mountinfo(text)
    others = {str(n): parse_mountinfo(each) for n, each in enumerate((text, *more))}
    copy = next(entry for entry in theirs if entry.majmin == "9:127")
    return Reach(OURS, OURS[1:], others).stays(copy, theirs)


@pytest.mark.parametrize(
    ("root", "copy", "stays"),
    [
        (b"11 10 8:1 / / rw shared:1", b"12 11 9:127 / /mnt/pool rw shared:2", False),
        (b"11 10 8:1 / / rw master:1", b"12 11 9:127 / /mnt/pool rw master:2", False),
        (b"11 10 8:1 / / rw master:1", b"12 11 9:127 / /mnt/pool rw", False),
        (b"11 10 8:1 / / rw master:7 propagate_from:1", b"12 11 9:127 / /mnt/pool rw", False),
        # what the copy itself is shared with plays no part
        (b"11 10 8:1 / / rw", b"12 11 9:127 / /mnt/pool rw shared:2", True),
        (b"11 10 8:1 / / rw", b"12 11 9:127 / /mnt/pool rw", True),
        (b"11 10 8:1 / / rw shared:9", b"12 11 9:127 / /mnt/pool rw shared:2", True),
        # at another place than ours
        (b"11 10 8:1 / / rw master:1", b"12 11 9:127 / /data rw", True),
        # the same place, in a namespace whose root is a directory of ours
        (b"11 10 8:1 /mnt / rw master:1", b"12 11 9:127 / /pool rw", False),
    ],
)
def test_an_unmount_reaches_copies_by_what_they_lie_on(
    root: bytes, copy: bytes, stays: bool
) -> None:
    text = root + b" - ext4 /dev/sda1 rw\n" + copy + b" - ext4 /dev/md127 rw\n"
    assert _stays(text) is stays


def test_a_slave_of_a_slave_is_reached() -> None:
    between = b"21 20 8:1 / / rw shared:5 master:1 - ext4 /dev/sda1 rw\n"
    text = (
        b"11 10 8:1 / / rw master:5 - ext4 /dev/sda1 rw\n"
        b"12 11 9:127 / /mnt/pool rw - ext4 /dev/md127 rw\n"
    )
    assert _stays(text)
    assert not _stays(text, between)


def test_a_copy_with_a_mount_on_it_stays() -> None:
    text = (
        b"11 10 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
        b"12 11 9:127 / /mnt/pool rw - ext4 /dev/md127 rw\n"
    )
    assert not _stays(text)
    assert _stays(text + b"13 12 0:44 / /mnt/pool/inner rw - tmpfs tmpfs rw\n")


def test_exports_of_the_kernel_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "exports"
    file.write_text(
        "# Version 1.1\n# Path Client(Flags) # IPs\n"
        "/mnt/pool/a\\040b\t192.0.2.0/24(rw,root_squash,sync,uuid=1:2)\n"
        "/mnt/pools\t*(ro)\n"
    )
    monkeypatch.setattr(mount_holders, "_EXPORTS", (tmp_path / "none", file))
    mount = MountEntry("9:127", "/", "/mnt/pool", frozenset(), "ext4", "/dev/md127", 2, 1)
    found = tuple(mount_holders._exports(Filesystem((mount,), frozenset({"9:127"}))))
    assert [holder.what for holder in found] == ["/mnt/pool/a b is exported by NFS"]
    assert found[0].release == "exportfs -u '192.0.2.0/24:/mnt/pool/a b'"
