"""Files that survive a power cut, a failed write, and whatever is put over their directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from backy_core.sdk.errors import SystemFailure
from backy_core.system.own_files import OwnDirectory, OwnFile


def test_write_replaces_and_keeps_the_previous_generation(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    OwnFile.at(path).write(b"one", keep_previous=True)
    assert not (tmp_path / "data.json.previous").exists()
    OwnFile.at(path).write(b"two", keep_previous=True)
    OwnFile.at(path).write(b"three", keep_previous=True)
    assert path.read_bytes() == b"three"
    assert (tmp_path / "data.json.previous").read_bytes() == b"two"
    assert sorted(os.listdir(tmp_path)) == ["data.json", "data.json.previous"]


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_mode_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    before = os.umask(0o077)
    try:
        OwnFile.at(tmp_path / "x").write(b"", mode)
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == mode


def test_failed_write_leaves_the_old_file_and_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data"
    OwnFile.at(path).write(b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SystemFailure, match="No space left"):
        OwnFile.at(path).write(b"new", keep_previous=True)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["data"]


def test_left_over_temporary_file_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "data"
    (tmp_path / f".data.{os.getpid()}.tmp").write_bytes(b"half")
    OwnFile.at(path).write(b"whole")
    assert path.read_bytes() == b"whole"


def test_a_directory_is_found_again_whatever_its_path_leads_to_now(tmp_path: Path) -> None:
    state, aside = tmp_path / "state", tmp_path / "aside"
    directory = OwnDirectory(state)
    directory.make()
    below = directory.directory("journal")
    below.make()
    assert below.names() == ()
    state.rename(aside)
    state.mkdir()
    directory.file("one").write(b"1", keep_previous=True)
    directory.file("one").write(b"2", keep_previous=True)
    below.file("two").write(b"3")
    assert directory.file("one").read() == b"2" and directory.file("one").exists()
    assert directory.file("one").previous.read() == b"1"
    assert below.names() == ("two",)
    assert not list(state.iterdir()) and (aside / "journal" / "two").read_bytes() == b"3"


def test_what_is_not_there_is_told_from_what_cannot_be_read(tmp_path: Path) -> None:
    assert OwnFile.at(tmp_path / "none").read() is None
    assert OwnFile.at(tmp_path / "missing" / "none").read() is None
    (tmp_path / "directory").mkdir()
    with pytest.raises(OSError, match="directory"):
        OwnFile.at(tmp_path / "directory").read()


def test_a_descriptor_ends_with_its_directory(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        OwnFile.at(tmp_path / "x").write(b"")
    assert len(os.listdir("/proc/self/fd")) <= before + 1
