"""libmount where nothing can be mounted; what it does when it can is seen in a guest."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from backy_core.sdk.errors import BackyError, PoolBusy, SystemFailure
from backy_core.system import libmount, mountinfo, mounts
from backy_core.system.libmount import MountFailed


def test_a_mount_that_fails_says_why(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(MountFailed, match="could not be mounted") as failure:
        libmount.mount("/nosuch", "/mnt/a", "ext4", "nosuid,nodev", place=here)
    # libmount's words differ between versions: from 2.39 on they may be those of fsconfig(2).
    os.close(here)
    assert failure.value.errno == errno.ENOENT and failure.value.details
    assert "/proc" not in failure.value.details


def test_what_is_not_mounted_cannot_be_unmounted(tmp_path: Path) -> None:
    with pytest.raises(MountFailed, match="could not be unmounted") as failure:
        libmount.unmount(str(tmp_path))
    assert failure.value.details


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(name: str) -> ctypes.CDLL:
        raise OSError(f"{name}: cannot open shared object file")

    libmount._library.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", refuse)
    yield
    libmount._library.cache_clear()


@pytest.mark.usefixtures("no_library")
async def test_without_the_library_nothing_is_mounted() -> None:
    with pytest.raises(SystemFailure, match="cannot be mounted") as failure:
        await mounts.mount("/dev/md127", "/mnt", "ext4", "nodev")
    assert "libmount.so.1" in (failure.value.details or "")


@pytest.mark.parametrize("number", [16, 5])
async def test_busy_is_told_by_its_number(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise MountFailed(f"{path} could not be unmounted", "it will not", number)

    row = b"1 0 9:127 / /mnt/a rw - ext4 /dev/md127 rw"
    monkeypatch.setattr(mounts, "read_mounts", lambda: mountinfo.parse_mountinfo(row))
    monkeypatch.setattr(libmount, "unmount", refuse)
    told: list[str] = []
    with pytest.raises(BackyError) as failure:
        await mounts.unmount("/mnt/a", told.append)
    assert isinstance(failure.value, PoolBusy) == (number == 16)
    assert told == ["umount: /mnt/a: it will not"]
