"""A filesystem that says nothing in mountinfo, and what stat(2) says of it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from backy_core.system import mount_health
from backy_core.system.mountinfo import MountEntry


def _mount(path: str, fstype: str = "xfs", majmin: str = "9:127") -> MountEntry:
    return MountEntry(majmin, "/", path, frozenset({"rw"}), fstype, "/dev/md127", 2, 1)


@pytest.mark.parametrize(
    ("number", "gave_up"),
    [(errno.EIO, True), (errno.ESHUTDOWN, True), (errno.EACCES, False), (errno.ENOENT, False)],
)
async def test_what_counts_as_given_up(
    number: int, gave_up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stat(path: Path) -> os.stat_result:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "stat", stat)
    said = await mount_health.given_up([_mount("/mnt/a"), _mount("/mnt/b", "btrfs", "9:126")])
    assert said == ({"9:127": os.strerror(number)} if gave_up else {})


async def test_one_that_answers_did_not(tmp_path: Path) -> None:
    assert await mount_health.given_up([_mount(str(tmp_path))]) == {}


@pytest.mark.parametrize(
    ("count", "last", "gave_up"), [("0", "0", False), ("2", "900", False), ("2", "1000", True)]
)
async def test_ext4_counts_errors_and_old_ones_are_no_news(
    count: str, last: str, gave_up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"errors_count": f"{count}\n", "last_error_time": f"{last}\n"}
    monkeypatch.setattr(mount_health, "read_attribute", lambda path: told[path.name])
    monkeypatch.setattr(mount_health, "_mounted_since", lambda node: 1000)
    monkeypatch.setattr(Path, "readlink", lambda path: Path("md127"))
    said = await mount_health.given_up([_mount("/mnt/a", "ext4")])
    assert said == ({"9:127": "ext4 counts 2 errors"} if gave_up else {})


def test_the_time_of_the_mount_is_in_the_superblock(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(1024 + 0x2C) + (1700000000).to_bytes(4, "little") + bytes(100))
    assert mount_health._mounted_since(str(image)) == 1700000000
    assert mount_health._mounted_since(str(tmp_path / "none")) == 0
