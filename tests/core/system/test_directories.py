"""Directories that only root can change, and no links on the way."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from backy_core.sdk.errors import SystemFailure
from backy_core.system import directories
from tests.fakes.own_files import beside_sticky

_STRANGER = 65534


@pytest.fixture(autouse=True)
def below_tmp(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = beside_sticky(directories.others_may_change)
    monkeypatch.setattr(directories, "others_may_change", judge)


def test_directories_are_made_and_removed(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "c"
    (tmp_path / "a").mkdir()
    assert directories.missing_directories(target) == (str(target), str(target.parent))
    mask = os.umask(0o077)
    try:
        made = directories.make_directories(target)
    finally:
        os.umask(mask)
    assert made == (str(tmp_path / "a/b"), str(target))
    assert [Path(each).stat().st_mode & 0o7777 for each in made] == [0o755, 0o755]
    assert directories.make_directories(target) == ()
    assert directories.missing_directories(target) == () and directories.is_empty(target)
    assert not directories.is_empty(tmp_path)
    directories.remove_directories(made)
    assert os.listdir(tmp_path) == ["a"]
    directories.remove_directories(made)


def test_what_is_not_empty_stays(tmp_path: Path) -> None:
    made = directories.make_directories(tmp_path / "a" / "b")
    (tmp_path / "a" / "file").write_text("kept")
    directories.remove_directories(made)
    assert (tmp_path / "a" / "file").read_text() == "kept"
    assert not (tmp_path / "a" / "b").exists()


@pytest.mark.parametrize("link", ["a", "a/b", "a/b/c"])
def test_symbolic_links_are_refused(tmp_path: Path, link: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / link).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / link).symlink_to(elsewhere)
    for call in (directories.make_directories, directories.missing_directories, directories.check):
        with pytest.raises(SystemFailure, match=f"{link} is a symbolic link"):
            call(tmp_path / "a/b/c")
    assert os.listdir(elsewhere) == []


def test_nothing_is_removed_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "b").mkdir(parents=True)
    (tmp_path / "a").symlink_to(tmp_path / "elsewhere")
    directories.remove_directories([tmp_path / "a/b"])
    assert (tmp_path / "elsewhere/b").is_dir()


def test_a_file_in_the_way_removes_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("file")
    with pytest.raises(SystemFailure, match="a is no directory"):
        directories.make_directories(tmp_path / "a/b")
    assert (tmp_path / "a").read_text() == "file"


def _given_away(path: Path) -> None:
    os.chown(path, _STRANGER, 0)


def _open_to_all(path: Path) -> None:
    path.chmod(0o757)


def _open_to_a_group(path: Path) -> None:
    os.chown(path, 0, _STRANGER)
    path.chmod(0o775)


def _open_by_acl(path: Path) -> None:
    """User 65534 may write; group root has no more than that in the mode's bits."""
    entries = [(1, 7, -1), (2, 7, _STRANGER), (4, 5, -1), (16, 7, -1), (32, 5, -1)]
    packed = b"".join(struct.pack("<HHi", *entry) for entry in entries)
    os.setxattr(path, "system.posix_acl_access", struct.pack("<I", 2) + packed)
    assert path.stat().st_mode & 0o777 == 0o775


@pytest.mark.parametrize("part", ["a", "a/b", "a/b/c"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_given_away, "belongs to user 65534"),
        (_open_to_all, "writable by everyone"),
        (_open_to_a_group, "writable by group 65534"),
        (_open_by_acl, "users that its ACL names"),
    ],
)
def test_what_others_may_change_is_refused(
    tmp_path: Path, part: str, change: Callable[[Path], None], words: str
) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    try:
        change(tmp_path / part)
    except OSError as error:
        pytest.skip(f"no ACLs here: {error}")
    for call in (directories.make_directories, directories.missing_directories, directories.check):
        with pytest.raises(SystemFailure, match=words) as refusal:
            call(tmp_path / "a/b/c")
        assert str(tmp_path / part) in refusal.value.message
        assert f"chmod go-w {tmp_path / part}" in str(refusal.value.hint)


def test_roots_own_group_may_write(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(0o775)
    directories.check(tmp_path / "a")


@pytest.mark.parametrize("sticky", [0o1777, 0o777])
def test_a_sticky_directory_is_everyones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sticky: int
) -> None:
    monkeypatch.undo()
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(sticky)
    descriptor = os.open(tmp_path / "a", os.O_RDONLY)
    refusal = directories.others_may_change(os.fstat(descriptor), descriptor)
    os.close(descriptor)
    assert refusal == "is writable by everyone"


def test_half_made_directories_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.mkdir

    def full(path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        if path == "c":
            raise OSError(28, "No space left on device")
        real(path, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", full)
    with pytest.raises(SystemFailure, match="cannot be used") as failure:
        directories.make_directories(tmp_path / "a/b/c")
    assert "No space left" in (failure.value.details or "")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("path", ["relative/path", "/tmp/../etc/x"])
def test_paths_that_are_not_plain(path: str) -> None:
    with pytest.raises(SystemFailure, match="absolute"):
        directories.make_directories(path)


def _accepts_a_file(path: Path) -> bool:
    try:
        (path / "file").touch()
    except PermissionError:
        return False
    (path / "file").unlink()
    return True


def test_a_sealed_directory_takes_no_file_until_it_is_removed(tmp_path: Path) -> None:
    """Here by whatever the filesystem of the tests has; kernel tests hold it on ext4."""
    made = directories.make_directories(tmp_path / "pool")
    try:
        sealed = directories.seal(tmp_path / "pool")
        assert sealed is not None and sealed.empty and sealed.seal != "none"
        assert directories.place(tmp_path / "pool") == sealed == directories.seal(made[0])
        assert _accepts_a_file(tmp_path / "pool") is (sealed.seal == "mode")
    finally:
        directories.remove_directories(made)
    assert not (tmp_path / "pool").exists()


def test_without_the_flag_the_mode_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, *, on: bool) -> None:
        raise OSError(errno.ENOTTY, "no such flag")

    monkeypatch.setattr(directories, "set_immutable", refuse)
    made = directories.make_directories(tmp_path / "pool")
    assert directories.seal(made[0]) == directories.Place("mode", True)
    assert (tmp_path / "pool").stat().st_mode & 0o7777 == 0
    directories.remove_directories(made)
    assert not (tmp_path / "pool").exists()


def test_a_directory_with_files_is_never_sealed(tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / "file").touch()
    assert directories.seal(tmp_path / "pool") == directories.Place("none", False)
    assert _accepts_a_file(tmp_path / "pool")
