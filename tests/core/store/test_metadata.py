"""Metadata is written whole or not at all, and never silently lost."""

from __future__ import annotations

import asyncio
import json
import stat
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backy_core.sdk.errors import SystemFailure
from backy_core.sdk.models import DriveId
from backy_core.store.metadata import MetadataStore, PoolEntry
from backy_core.system.clock import SystemClock
from backy_core.system.own_files import OwnDirectory, OwnFile

ONE = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
TWO = "11111111-2222-3333-4444-555555555555"
NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)

EARLIER_AGENT: dict[str, Any] = {
    "pools": [
        {
            "poolGroupGuid": ONE.upper(),
            "label": "shelf",
            "mdDeviceName": "md0",
            "driveSerials": ["drive-scsi1", "drive-scsi2"],
            "driveLabels": {"drive-scsi1": "left", "drive-scsi2": None},
            "createdAt": "2024-11-02T08:15:30.1234567Z",
            "lastMountPath": None,
            "isMounted": True,
        }
    ],
    "lastUpdated": "2024-11-02T08:15:31.7654321Z",
}


def entry(guid: str = ONE, **changes: Any) -> PoolEntry:
    drive = DriveId(serial="drive-scsi1", wwn="0x5000c500a1b2c3d4", size=1 << 28)
    fields = {
        "guid": guid,
        "label": "shelf",
        "backend": "mdadm",
        "level": "raid1",
        "filesystem": "ext4",
        "md_device_name": "md127",
        "drive_serials": ("drive-scsi1",),
        "drive_labels": {"drive-scsi1": "left"},
        "created_at": NOW,
        "last_mount_path": "/mnt/backy/x",
        "is_mounted": True,
        "native_id": guid,
        "fs_uuid": TWO,
        "drive_ids": (drive,),
        "made_directories": ("/mnt/backy/x",),
    }
    return PoolEntry(**{**fields, **changes})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pool-metadata.json"


def loaded(path: Path) -> MetadataStore:
    store = MetadataStore(OwnFile.at(path), SystemClock())
    store.load()
    return store


class Disk(OwnFile):
    """A file on a disk that may be slow, or full."""

    def __init__(self, path: Path, has_room: Callable[[], bool]) -> None:
        super().__init__(OwnDirectory(path.parent), path.name)
        self._has_room = has_room

    def write(self, data: bytes, mode: int = 0o600, *, keep_previous: bool = False) -> None:
        if not self._has_room():
            raise SystemFailure("No space left on device")
        super().write(data, mode, keep_previous=keep_previous)


def asides(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}.unreadable-*"))


def test_no_file_is_no_pools(path: Path) -> None:
    store = loaded(path)
    assert store.entries() == ()
    assert store.warnings == ()
    assert not path.exists()


async def test_an_entry_comes_back_as_it_went(path: Path) -> None:
    await loaded(path).put(entry())
    assert loaded(path).get(ONE) == entry()


async def test_the_file_is_what_the_contract_says(path: Path) -> None:
    await loaded(path).put(entry())
    document = json.loads(path.read_text())
    updated = datetime.fromisoformat(document.pop("lastUpdated"))
    assert updated.tzinfo is not None
    assert document == {
        "version": 1,
        "pools": [
            {
                "poolGroupGuid": ONE,
                "label": "shelf",
                "backend": "mdadm",
                "level": "raid1",
                "filesystem": "ext4",
                "mdDeviceName": "md127",
                "driveSerials": ["drive-scsi1"],
                "driveLabels": {"drive-scsi1": "left"},
                "createdAt": "2026-05-01T12:00:00Z",
                "lastMountPath": "/mnt/backy/x",
                "isMounted": True,
                "nativeId": ONE,
                "fsUuid": TWO,
                "driveIds": [
                    {"serial": "drive-scsi1", "wwn": "0x5000c500a1b2c3d4", "size": 1 << 28}
                ],
                "others": [],
                "leaving": [],
                "seenByForce": None,
                "portability": None,
                "opensOn": None,
                "layers": [],
                "madeDirectories": ["/mnt/backy/x"],
            }
        ],
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_earlier_agents_file_is_read_as_it_is(path: Path) -> None:
    path.write_text(json.dumps(EARLIER_AGENT))
    store = loaded(path)
    assert store.warnings == ()
    assert store.entries() == (
        PoolEntry(
            guid=ONE,
            label="shelf",
            backend="mdadm",
            md_device_name="md0",
            drive_serials=("drive-scsi1", "drive-scsi2"),
            drive_labels={"drive-scsi1": "left"},
            created_at=datetime(2024, 11, 2, 8, 15, 30, 123456, tzinfo=UTC),
            is_mounted=True,
        ),
    )
    assert json.loads(path.read_text()) == EARLIER_AGENT, "reading writes nothing"


def test_times_are_utc_whatever_the_file_says(path: Path) -> None:
    pool = {**EARLIER_AGENT["pools"][0], "createdAt": "2024-11-02T10:15:30.1234567+02:00"}
    path.write_text(json.dumps({"pools": [pool]}))
    first = loaded(path).entries()[0].created_at
    assert first is not None
    assert first.isoformat() == "2024-11-02T08:15:30.123456+00:00"
    path.write_text(json.dumps({"pools": [{**pool, "createdAt": "2024-11-02T08:15:30"}]}))
    assert loaded(path).entries()[0].created_at == datetime(2024, 11, 2, 8, 15, 30, tzinfo=UTC)


async def test_changes_are_on_disk_and_in_memory(path: Path) -> None:
    store = loaded(path)
    await store.put(entry(ONE))
    await store.put(entry(TWO))
    await store.put(entry(ONE, label="renamed"))
    assert [(entry.guid, entry.label) for entry in loaded(path).entries()] == [
        (ONE, "renamed"),
        (TWO, "shelf"),
    ]
    await store.remove(ONE)
    await store.remove("unknown")
    assert [entry.guid for entry in store.entries()] == [TWO]
    assert [entry.guid for entry in loaded(path).entries()] == [TWO]


async def test_a_revision_is_of_what_is_known_when_its_turn_comes(path: Path) -> None:
    store = loaded(path)
    await store.put(entry(ONE))
    written = path.read_bytes()
    assert not await store.revise(ONE, lambda known: known)
    assert not await store.revise(TWO, lambda known: known.model_copy(update={"label": "new"}))
    assert path.read_bytes() == written
    revised = await asyncio.gather(
        store.revise(ONE, lambda known: known.model_copy(update={"label": "new"})),
        store.revise(ONE, lambda known: known.model_copy(update={"is_mounted": False})),
    )
    (found,) = loaded(path).entries()
    assert all(revised) and found.label == "new" and not found.is_mounted


async def test_a_slow_disk_does_not_hold_up_the_loop(path: Path) -> None:
    """And what was begun is written and known, even if whoever asked for it gave up meanwhile."""
    written = threading.Event()
    store = MetadataStore(Disk(path, lambda: written.wait(10)), SystemClock())
    changing = asyncio.create_task(store.put(entry(ONE)))
    await asyncio.sleep(0.05)
    assert store.get(ONE) is None
    changing.cancel()
    written.set()
    with pytest.raises(asyncio.CancelledError):
        await changing
    assert store.get(ONE) is not None and len(loaded(path).entries()) == 1


async def test_what_a_newer_version_added_is_kept(path: Path) -> None:
    await loaded(path).put(entry())
    document = json.loads(path.read_text())
    document["pools"][0]["colour"] = {"of": "door"}
    document["site"] = "cellar"
    path.write_text(json.dumps(document))
    store = loaded(path)
    stored = store.get(ONE)
    assert stored is not None
    await store.put(stored.model_copy(update={"label": "renamed"}))
    document = json.loads(path.read_text())
    assert document["site"] == "cellar"
    assert document["pools"][0]["colour"] == {"of": "door"}
    assert document["pools"][0]["label"] == "renamed"


async def test_a_newer_file_version_is_said_and_kept(path: Path) -> None:
    path.write_text(json.dumps({"version": 2, "pools": []}))
    store = loaded(path)
    assert "version 2" in store.warnings[0]
    await store.put(entry())
    assert json.loads(path.read_text())["version"] == 2


async def test_an_entry_that_cannot_be_used_is_said_and_kept(path: Path) -> None:
    strange = {"poolGroupGuid": TWO, "driveSerials": 7}
    path.write_text(json.dumps({"version": 1, "pools": [strange, "text", {"label": "x"}]}))
    store = loaded(path)
    assert store.entries() == ()
    assert len(store.warnings) == 3
    assert TWO in store.warnings[0] and "driveSerials" in store.warnings[0]
    await store.put(entry())
    assert json.loads(path.read_text())["pools"][1:] == [strange, "text", {"label": "x"}]
    assert [entry.guid for entry in loaded(path).entries()] == [ONE]


def test_of_two_entries_with_one_guid_the_first_is_used(path: Path) -> None:
    pools = [{"poolGroupGuid": ONE, "label": label} for label in ("first", "second")]
    path.write_text(json.dumps({"version": 1, "pools": pools}))
    store = loaded(path)
    assert [entry.label for entry in store.entries()] == ["first"]
    assert "twice" in store.warnings[0]


@pytest.mark.parametrize(
    "broken",
    [b"", b"{", b"\xff\xfe", b"[]", b"null", b'{"pools": 5}', b"{}", b"[" * 100_000],
)
async def test_a_broken_file_is_set_aside_and_the_previous_used(path: Path, broken: bytes) -> None:
    store = loaded(path)
    await store.put(entry(ONE))
    await store.put(entry(TWO))
    path.write_bytes(broken)
    again = loaded(path)
    assert [entry.guid for entry in again.entries()] == [ONE], "the previous generation"
    (aside,) = asides(path)
    assert aside.read_bytes() == broken
    (warning,) = again.warnings
    assert aside.name in warning and "previous generation was used" in warning


async def test_a_broken_file_is_set_aside_once(path: Path) -> None:
    store = loaded(path)
    await store.put(entry(ONE))
    await store.put(entry(TWO))
    path.write_bytes(b"{")
    loaded(path)
    third = loaded(path)
    assert [entry.guid for entry in third.entries()] == [ONE]
    assert third.warnings == ()
    assert len(asides(path)) == 1


async def test_both_generations_broken_is_said_and_kept(path: Path) -> None:
    path.write_bytes(b"{")
    path.with_name(path.name + ".previous").write_bytes(b"}")
    store = loaded(path)
    assert store.entries() == ()
    assert "nothing is remembered" in store.warnings[0]
    assert {aside.read_bytes() for aside in path.parent.glob("*.unreadable-*")} == {b"{", b"}"}
    await store.put(entry())
    assert loaded(path).get(ONE) == entry()


async def test_a_missing_file_does_not_bring_old_pools_back(path: Path) -> None:
    store = loaded(path)
    await store.put(entry(ONE))
    await store.put(entry(TWO))
    path.unlink()
    again = loaded(path)
    assert again.entries() == ()
    assert "is missing" in again.warnings[0]


def test_a_file_that_cannot_be_read_is_not_taken_for_empty(path: Path) -> None:
    path.mkdir()
    with pytest.raises(SystemFailure, match="Cannot read"):
        loaded(path)


async def test_a_failed_write_changes_nothing(path: Path) -> None:
    room = [True]
    store = MetadataStore(Disk(path, lambda: room[0]), SystemClock())
    await store.put(entry(ONE))
    room[0] = False
    with pytest.raises(SystemFailure):
        await store.put(entry(TWO))
    with pytest.raises(SystemFailure):
        await store.remove(ONE)
    assert [entry.guid for entry in store.entries()] == [ONE]
    assert [entry.guid for entry in loaded(path).entries()] == [ONE]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
async def test_any_bytes_give_a_store_that_works(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    store = loaded(path)
    await store.put(entry())
    assert loaded(path).get(ONE) == entry()


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["poolGroupGuid", "label", "driveIds", "x"]), inner)
    ),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(pools=st.lists(JSON_VALUES, max_size=3))
async def test_any_entries_are_used_or_kept(path: Path, pools: list[Any]) -> None:
    path.write_text(json.dumps({"version": 1, "pools": pools}))
    store = loaded(path)
    await store.put(entry(TWO))
    assert len(json.loads(path.read_text())["pools"]) == len(pools) + 1
