"""The agent starts only on files that are root's alone, and on a key that cannot be guessed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from backy_core.cli.exits import Exit
from backy_core.cli.lock import sole_agent
from backy_core.cli.ownership import refuse_others_files
from backy_core.cli.refusal import StartRefused, status_of
from backy_core.config.errors import ConfigurationError
from backy_core.config.settings import Settings, load_settings
from backy_core.store import api_key
from backy_core.system.own_files import OwnFile

_STRANGER = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Everything in place, as after a first start."""
    made = Settings(
        state_dir=tmp_path / "state", config_dir=tmp_path / "etc", runtime_dir=tmp_path / "run"
    )
    for directory in (*made.own_directories, made.journal_dir):
        directory.mkdir()
    for file in (
        made.keys_path,
        made.audit_path,
        made.metadata_path,
        made.tombstones_path,
        made.protection_path,
    ):
        file.write_text("{}")
    (made.journal_dir / "one.jsonl").write_text("")
    made.api_key_path.write_text("k" * 40)
    return made


def _given_away(path: Path) -> None:
    os.chown(path, _STRANGER, -1)


def _open_to_all(path: Path) -> None:
    path.chmod(path.stat().st_mode | 0o002)


def _open_to_a_group(path: Path) -> None:
    os.chown(path, -1, _STRANGER)
    path.chmod(path.stat().st_mode | 0o020)


def _linked(path: Path) -> None:
    path.rename(path.with_name("aside"))
    path.symlink_to(path.with_name("aside"))


def _piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _a_device(path: Path) -> None:
    path.unlink()
    os.mknod(path, 0o020600, os.makedev(1, 5))


_ALL = [_given_away, _open_to_all, _open_to_a_group]
_STATE = (
    "keys.json",
    "audit.log",
    "pool-metadata.json",
    "tombstones.json",
    "protection.json",
    "journal/one.jsonl",
)
_CASES = [
    *((name, change) for name in ("state", "etc", "run", "state/journal") for change in _ALL),
    *(
        (name, change)
        for name in ("etc/api-key", *(f"state/{each}" for each in _STATE))
        for change in (*_ALL, _linked, _piped, _a_device)
    ),
]


@as_root
@pytest.mark.parametrize(("name", "change"), _CASES)
def test_what_others_may_change_is_refused(
    settings: Settings, tmp_path: Path, name: str, change: Callable[[Path], None]
) -> None:
    refuse_others_files(settings)
    try:
        change(tmp_path / name)
    except OSError as error:
        pytest.skip(f"not possible here: {error}")
    with pytest.raises(StartRefused, match=str(tmp_path / name)) as refusal:
        refuse_others_files(settings)
    assert status_of(refusal.value) == Exit.CONFIG and refusal.value.hint


@as_root
def test_so_is_what_lies_below_a_strangers_directory(settings: Settings, tmp_path: Path) -> None:
    os.chown(tmp_path, _STRANGER, -1)
    with pytest.raises(StartRefused, match=f"{tmp_path} belongs to user"):
        refuse_others_files(settings)


@as_root
def test_a_link_to_a_directory_is_looked_behind(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    settings.state_dir.rename(tmp_path / "theirs/state")
    settings.state_dir.symlink_to(tmp_path / "theirs/state")
    refuse_others_files(settings)
    os.chown(tmp_path / "theirs", _STRANGER, -1)
    with pytest.raises(StartRefused, match="theirs belongs to user"):
        refuse_others_files(settings)


def test_nothing_there_yet_is_fine(tmp_path: Path) -> None:
    nowhere = tmp_path / "not" / "made"
    refuse_others_files(Settings(state_dir=nowhere, config_dir=nowhere, runtime_dir=nowhere))


@as_root
@pytest.mark.parametrize("change", [*_ALL, _linked, _piped])
def test_so_is_a_configuration_file(tmp_path: Path, change: Callable[[Path], None]) -> None:
    file = tmp_path / "backy.toml"
    file.write_text("port = 1\n")
    change(file)
    with pytest.raises(ConfigurationError, match=str(file)) as refusal:
        load_settings({"config": str(file)}, {})
    assert status_of(refusal.value) == Exit.CONFIG and refusal.value.hint


@pytest.mark.parametrize("change", [_linked, _piped])
def test_no_lock_on_anything_but_a_file(tmp_path: Path, change: Callable[[Path], None]) -> None:
    (tmp_path / "agent.lock").write_text("")
    change(tmp_path / "agent.lock")
    with pytest.raises(StartRefused, match="cannot be used"), sole_agent(tmp_path):
        pytest.fail("it was locked")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"hunter2\n", "less than 32 characters"),
        (b"k" * 31, "less than 32 characters"),
        (b"k" * 40 + b"\n" + b"k" * 40 + b"\n", "more than one line"),
        (b"k" * 40 + b" # the key", "more than one line"),
        ("ü".encode() * 40, "printable ASCII"),
        (b"\x00" * 40, "printable ASCII"),
    ],
)
def test_a_key_that_can_be_guessed_is_refused(tmp_path: Path, key: bytes, words: str) -> None:
    file = OwnFile.at(tmp_path / "api-key")
    file.write(key)
    with pytest.raises(ConfigurationError, match=words) as refusal:
        api_key.load_or_make(file)
    assert status_of(refusal.value) == Exit.CONFIG
    assert f"openssl rand -hex 32 >{file.path}" in str(refusal.value.hint)
    assert key.decode(errors="replace").strip() not in refusal.value.message or len(key) < 2


@pytest.mark.parametrize("change", [_linked, _piped])
def test_a_key_is_read_from_a_file(tmp_path: Path, change: Callable[[Path], None]) -> None:
    (tmp_path / "api-key").write_text("k" * 40)
    change(tmp_path / "api-key")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        api_key.load_or_make(OwnFile.at(tmp_path / "api-key"))


def test_a_key_of_32_characters_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = OwnFile.at(tmp_path / "api-key")
    file.write(b"k" * 32 + b"\n")
    assert api_key.load_or_make(file) == "k" * 32 and not caplog.records
    file.path.chmod(0o644)
    assert api_key.load_or_make(file) == "k" * 32
    assert "everyone can read" in caplog.text


def test_a_key_that_was_made_is_taken_again(tmp_path: Path) -> None:
    file = OwnFile.at(tmp_path / "etc" / "api-key")
    made = api_key.load_or_make(file)
    assert len(made) >= api_key.LEAST and api_key.load_or_make(file) == made
    assert file.path.stat().st_mode & 0o777 == 0o600
