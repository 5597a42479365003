"""Tombstones outlive the agent, and bad ones harm nobody."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backy_core.sdk.models import DriveId, SignatureMatch
from backy_core.store.tombstones import Tombstone, Tombstones
from backy_core.system.clock import SystemClock
from backy_core.system.own_files import OwnFile

ONE = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
TWO = "11111111-2222-3333-4444-555555555555"
STONE = Tombstone(
    guid=ONE,
    backend="mdadm",
    label="shelf",
    drives=(DriveId(serial="drive-scsi2", size=1 << 28),),
    stamps=(SignatureMatch(type="linux_raid_member", uuid=ONE),),
    deleted_at=datetime(2026, 5, 1, 12, tzinfo=UTC),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tombstones.json"


def stones(path: Path) -> Tombstones:
    loaded = Tombstones(OwnFile.at(path), SystemClock())
    loaded.load()
    return loaded


async def test_tombstones_survive(path: Path) -> None:
    assert stones(path).entries() == ()
    await stones(path).put(STONE)
    assert stones(path).get(ONE) == STONE
    assert stones(path).entries() == (STONE,)
    again = stones(path)
    await again.remove(TWO)
    await again.remove(ONE)
    assert stones(path).entries() == ()


async def test_a_tombstone_that_calls_enclosing_signatures_around_is_read(path: Path) -> None:
    stone = STONE.model_copy(update={"enclosing": (SignatureMatch(type="gpt"),)})
    await stones(path).put(stone)
    text = path.read_text()
    assert '"enclosing"' in text
    path.write_text(text.replace('"enclosing"', '"around"'))
    assert stones(path).entries() == (stone,)


async def test_a_tombstone_that_cannot_be_used_is_said_and_kept(path: Path) -> None:
    await stones(path).put(STONE)
    document = json.loads(path.read_text())
    document["tombstones"].append({"guid": TWO})
    path.write_text(json.dumps(document))
    again = stones(path)
    assert again.entries() == (STONE,)
    assert len(again.warnings) == 1
    await again.remove(ONE)
    assert json.loads(path.read_text())["tombstones"] == [{"guid": TWO}]


async def test_broken_tombstones_are_set_aside_and_the_previous_used(path: Path) -> None:
    store = stones(path)
    await store.put(STONE)
    await store.put(STONE.model_copy(update={"guid": TWO}))
    path.write_text("{")
    again = stones(path)
    assert again.entries() == (STONE,)
    assert len(again.warnings) == 1
