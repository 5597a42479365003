"""The list of protected drives."""

from __future__ import annotations

from pathlib import Path

import pytest

from backy_core.sdk.errors import (
    SystemFailure,
)
from backy_core.store.protection import ProtectionStore
from backy_core.system.own_files import OwnFile


async def test_protection_survives(tmp_path: Path) -> None:
    path = tmp_path / "protection.json"
    store = ProtectionStore(OwnFile.at(path))
    store.load()
    assert store.serials() == frozenset()
    await store.protect("A")
    await store.protect("B")
    await store.unprotect("A")
    await store.unprotect("never")
    again = ProtectionStore(OwnFile.at(path))
    again.load()
    assert again.serials() == {"B"}
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"serials": "A"}', '{"serials": [1]}'])
def test_a_damaged_list_never_takes_the_protection_off(tmp_path: Path, text: str) -> None:
    path = tmp_path / "protection.json"
    path.write_text(text)
    with pytest.raises(SystemFailure, match=r"protection\.json cannot be read"):
        ProtectionStore(OwnFile.at(path)).load()
    assert path.read_text() == text


async def test_a_failed_save_changes_nothing(tmp_path: Path) -> None:
    store = ProtectionStore(OwnFile.at(tmp_path / "missing" / "protection.json"))
    with pytest.raises(SystemFailure):
        await store.protect("A")
    assert store.serials() == frozenset()
