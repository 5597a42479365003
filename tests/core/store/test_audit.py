"""The audit log: whole lines in order, files of a limited size, and nobody waits for it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from backy_core.store import audit
from backy_core.store.audit import OLDER_FILES, AuditLog
from backy_core.system.clock import SystemClock
from backy_core.system.own_files import OwnDirectory, OwnFile

T = TypeVar("T")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


@pytest.fixture
def log(path: Path) -> AuditLog:
    return AuditLog(OwnFile.at(path), SystemClock())


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_lines_come_in_order_and_without_what_is_none(log: AuditLog, path: Path) -> None:
    for number in range(100):
        log.write("call", number=number, code=None)
        if number % 7 == 0:
            await asyncio.sleep(0)
    await log.settle()
    assert [line["number"] for line in lines(path)] == list(range(100))
    assert set(lines(path)[0]) == {"time", "event", "number"}
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_line_break_forges_no_line(log: AuditLog, path: Path) -> None:
    log.write("call", path='/x\n{"event": "call"}\u2028\x85')
    await log.settle()
    assert path.read_bytes().count(b"\n") == 1 and path.read_bytes().isascii()


async def test_files_are_rotated_by_size(
    log: AuditLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "MOST_BYTES", 1000)
    for number in range(100):
        log.write("call", number=number)
        await log.settle()
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == [
        "audit.log",
        *(f"audit.log.{number}" for number in range(1, OLDER_FILES + 1)),
    ]
    assert all(file.stat().st_size <= 1000 for file in files)
    newest_last = [*reversed(files[1:]), files[0]]
    numbers = [line["number"] for file in newest_last for line in lines(file)]
    assert numbers == list(range(100 - len(numbers), 100)) and len(numbers) > 40


async def test_half_a_line_spoils_no_other(log: AuditLog, path: Path) -> None:
    path.write_bytes(b'{"event": "ca')
    log.write("call")
    log.write("call")
    await log.settle()
    assert path.read_text().startswith('{"event": "ca\n{"time"')
    assert len(path.read_text().splitlines()) == 3


async def test_what_cannot_be_written_is_said_and_counted(
    log: AuditLog, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.mkdir()
    for _ in range(3):
        log.write("call")
    await log.settle()
    assert log.problem is not None and str(path) in log.problem
    assert "audit.log cannot be written" in caplog.text
    path.rmdir()
    log.write("call")
    await log.settle()
    assert log.problem is None
    assert [line["event"] for line in lines(path)] == ["lost", "call"]
    assert lines(path)[0]["lines"] == 3


class SlowDirectory(OwnDirectory):
    """Writing waits for a disk."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.disk = threading.Event()

    async def to_the_end(self, call: Callable[[], T], name: str) -> T:
        def after_the_disk() -> T:
            assert self.disk.wait(10)
            return call()

        return await super().to_the_end(after_the_disk, name)


async def test_a_slow_disk_holds_nobody_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MOST_WAITING", 5)
    directory = SlowDirectory(path.parent)
    log = AuditLog(directory.file(path.name), SystemClock())
    log.write("call", number=0)
    await asyncio.sleep(0.01)
    for number in range(1, 9):
        log.write("call", number=number)
    assert log.problem is not None and "does not keep up" in log.problem
    directory.disk.set()
    await log.settle()
    assert [line.get("number") for line in lines(path)] == [0, None, 1, 2, 3, 4, 5]
    assert lines(path)[1]["lines"] == 3
