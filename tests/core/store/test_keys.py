"""Keys outlive the agent as hashes; a revoked one never comes back."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from backy_core.sdk.errors import Conflict, InvalidRequest, NotFound, SystemFailure
from backy_core.store.keys import FILE_KEY, MOST_KEYS, USE_NOTED_S, Caller, Keys, Scope
from backy_core.system.own_files import OwnFile
from tests.fakes.clock import FakeClock

FIRST = "k" * 40


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "api-key").write_text(FIRST + "\n")
    return tmp_path


@pytest.fixture
def keys(folder: Path, clock: FakeClock) -> Keys:
    return started(folder, clock)


def started(folder: Path, clock: FakeClock) -> Keys:
    """As after a restart."""
    keys = Keys(OwnFile.at(folder / "keys.json"), OwnFile.at(folder / "api-key"), clock)
    keys.load()
    return keys


def opens(keys: Keys, secret: str) -> Caller | None:
    return keys.caller_of(secret.encode())


async def noted(keys: Keys) -> None:
    for note in tuple(keys._notes):
        await note


async def test_a_key_is_known_by_its_hash_alone(keys: Keys, folder: Path, clock: FakeClock) -> None:
    key, secret = await keys.create("monitoring", Scope.READ)
    assert len(secret) > 40 and key.created_at is not None
    text = (folder / "keys.json").read_text()
    assert secret not in text and sha256(secret.encode()).hexdigest() in text
    for known in (keys, started(folder, clock)):
        assert opens(known, secret) == Caller(Scope.READ, key="monitoring")
        assert opens(known, secret[:-1]) is None
        assert opens(known, FIRST) == Caller(Scope.ADMIN, key=FILE_KEY)


async def test_the_old_secret_is_refused_once_a_key_is_rotated(keys: Keys) -> None:
    _, old = await keys.create("app", Scope.OPERATE)
    key, new = await keys.rotate("app")
    assert key.rotated_at is not None and key.scope is Scope.OPERATE
    assert opens(keys, old) is None
    assert opens(keys, new) == Caller(Scope.OPERATE, key="app")


async def test_the_key_file_is_rotated_too(keys: Keys, folder: Path, clock: FakeClock) -> None:
    _, new = await keys.rotate(FILE_KEY)
    assert (folder / "api-key").read_text() == new + "\n"
    assert (folder / "api-key").stat().st_mode & 0o777 == 0o600
    for known in (keys, started(folder, clock)):
        assert opens(known, FIRST) is None
        assert opens(known, new) == Caller(Scope.ADMIN, key=FILE_KEY)
        assert known.listed()[0].rotated_at is not None


async def test_a_revoked_key_does_not_come_back(keys: Keys, folder: Path, clock: FakeClock) -> None:
    _, secret = await keys.create("app", Scope.ADMIN)
    await keys.revoke("app")
    assert opens(keys, secret) is None
    (folder / "keys.json").write_text("{")
    again = started(folder, clock)
    assert opens(again, secret) is None and again.entries() == ()
    assert opens(again, FIRST) is not None
    assert "set aside as keys.json.unreadable-" in again.warnings[0]
    assert "nothing of it is used" in again.warnings[0]


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        ("app", Conflict),
        (FILE_KEY, Conflict),
        ("", InvalidRequest),
        ("-x", InvalidRequest),
        ("a/b", InvalidRequest),
        ("a\n", InvalidRequest),
        ("x" * 64, InvalidRequest),
    ],
)
async def test_names_are_unique_and_plain(keys: Keys, name: str, refusal: type[Exception]) -> None:
    await keys.create("app", Scope.READ)
    with pytest.raises(refusal):
        await keys.create(name, Scope.ADMIN)
    assert [key.name for key in keys.listed()] == [FILE_KEY, "app"]


async def test_there_are_not_too_many(keys: Keys) -> None:
    for number in range(MOST_KEYS):
        await keys.create(f"key-{number}", Scope.READ)
    with pytest.raises(Conflict, match="cannot be more"):
        await keys.create("one-more", Scope.READ)


async def test_what_is_not_there_is_neither_rotated_nor_revoked(keys: Keys) -> None:
    with pytest.raises(NotFound, match="no key app"):
        await keys.rotate("app")
    with pytest.raises(NotFound, match="no key app"):
        await keys.revoke("app")
    with pytest.raises(Conflict, match="cannot be revoked"):
        await keys.revoke(FILE_KEY)


@pytest.mark.parametrize("name", ["app", FILE_KEY])
async def test_the_last_use_is_noted_once_a_minute(
    keys: Keys, folder: Path, clock: FakeClock, name: str
) -> None:
    await keys.create("app", Scope.READ)
    keys.note_use(name)
    await noted(keys)
    first = (folder / "keys.json").read_bytes()
    for _ in range(100):
        keys.note_use(name)
    await noted(keys)
    assert (folder / "keys.json").read_bytes() == first
    clock.passed += USE_NOTED_S
    keys.note_use(name)
    await noted(keys)
    used = {key.name: key.last_used_at for key in started(folder, clock).listed()}
    assert used.pop(name) is not None and set(used.values()) == {None}
    assert (folder / "keys.json").read_bytes() != first


async def test_a_use_brings_no_revoked_key_back(keys: Keys) -> None:
    await keys.create("app", Scope.READ)
    keys.note_use("app")
    await keys.revoke("app")
    await noted(keys)
    assert [key.name for key in keys.listed()] == [FILE_KEY]


async def test_a_use_that_cannot_be_noted_harms_nobody(
    keys: Keys, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keys._file.write = _full  # type: ignore[method-assign]
    keys.note_use(FILE_KEY)
    await noted(keys)
    assert "could not be noted" in caplog.text
    assert opens(keys, FIRST) is not None


async def test_the_file_s_new_secret_is_told_although_nothing_else_can_be_written(
    keys: Keys, folder: Path
) -> None:
    keys._file.write = _full  # type: ignore[method-assign]
    key, new = await keys.rotate(FILE_KEY)
    assert key.rotated_at is not None
    assert (folder / "api-key").read_text() == new + "\n"
    assert opens(keys, new) is not None and opens(keys, FIRST) is None


async def test_a_key_of_a_newer_version_is_refused_and_kept(
    keys: Keys, folder: Path, clock: FakeClock
) -> None:
    _, secret = await keys.create("app", Scope.READ)
    path = folder / "keys.json"
    path.write_text(path.read_text().replace('"read"', '"audit"'))
    again = started(folder, clock)
    assert opens(again, secret) is None
    assert "the entry of key app is not used" in again.warnings[0]
    await again.create("other", Scope.READ)
    assert [key["name"] for key in json.loads(path.read_text())["keys"]] == ["other", "app"]


def _full(document: object) -> None:
    raise SystemFailure("keys.json could not be written", details="No space left on device")
