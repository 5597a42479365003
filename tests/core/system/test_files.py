"""Directories without links."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from backy_core.sdk.errors import SystemFailure
from backy_core.system import files


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
