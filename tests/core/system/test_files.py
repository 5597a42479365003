"""Files that survive, directories without links."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from backy_core.sdk.errors import SystemFailure
from backy_core.system import files


def test_write_replaces_and_keeps_the_previous_generation(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    files.write_atomically(path, b"one", keep_previous=True)
    assert not (tmp_path / "data.json.previous").exists()
    files.write_atomically(path, b"two", keep_previous=True)
    files.write_atomically(path, b"three", keep_previous=True)
    assert path.read_bytes() == b"three"
    assert (tmp_path / "data.json.previous").read_bytes() == b"two"
    assert sorted(os.listdir(tmp_path)) == ["data.json", "data.json.previous"]


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_mode_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    before = os.umask(0o077)
    try:
        files.write_atomically(tmp_path / "x", b"", mode)
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == mode


def test_failed_write_leaves_the_old_file_and_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data"
    files.write_atomically(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SystemFailure, match="No space left"):
        files.write_atomically(path, b"new", keep_previous=True)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["data"]


def test_left_over_temporary_file_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "data"
    (tmp_path / f".data.{os.getpid()}.tmp").write_bytes(b"half")
    files.write_atomically(path, b"whole")
    assert path.read_bytes() == b"whole"


def test_read_text(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"caf\xff")
    assert files.read_text(tmp_path / "x") == "caf\N{REPLACEMENT CHARACTER}"
    assert files.read_text(tmp_path / "none") is None
    assert files.read_text(tmp_path) is None


def test_directories_are_made_and_removed(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "c"
    (tmp_path / "a").mkdir()
    made = files.make_directories(target)
    assert made == (str(tmp_path / "a/b"), str(target))
    assert files.make_directories(target) == ()
    files.remove_directories(made)
    assert os.listdir(tmp_path) == ["a"]
    files.remove_directories(made)


def test_what_is_not_empty_stays(tmp_path: Path) -> None:
    made = files.make_directories(tmp_path / "a" / "b")
    (tmp_path / "a" / "file").write_text("kept")
    files.remove_directories(made)
    assert (tmp_path / "a" / "file").read_text() == "kept"
    assert not (tmp_path / "a" / "b").exists()


@pytest.mark.parametrize("link", ["a", "a/b", "a/b/c"])
def test_symbolic_links_are_refused(tmp_path: Path, link: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / link).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / link).symlink_to(elsewhere)
    with pytest.raises(SystemFailure, match="symbolic link"):
        files.make_directories(tmp_path / "a/b/c")
    assert os.listdir(elsewhere) == []


def test_a_file_in_the_way_removes_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("file")
    with pytest.raises(SystemFailure, match="cannot be used"):
        files.make_directories(tmp_path / "a/b")
    assert (tmp_path / "a").read_text() == "file"


def test_half_made_directories_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.mkdir

    def full(path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        if path == "c":
            raise OSError(28, "No space left on device")
        real(path, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", full)
    with pytest.raises(SystemFailure, match="No space left"):
        files.make_directories(tmp_path / "a/b/c")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("path", ["relative/path", "/tmp/../etc/x"])
def test_paths_that_are_not_plain(path: str) -> None:
    with pytest.raises(SystemFailure, match="absolute"):
        files.make_directories(path)
