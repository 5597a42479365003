"""Listeners: what they are told, in which order, and that none of them costs anybody anything."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from backy_core.config.settings import Settings
from backy_core.machine.snapshot import Snapshot
from backy_core.plugins import listeners as plugin_listeners
from backy_core.plugins.host import PluginHost
from backy_core.plugins.loading import load_backends
from backy_core.sdk import hookimpl
from backy_core.sdk.errors import BackendFailure
from backy_core.sdk.events import OperationRecord, PoolChange, TargetAnswer
from backy_core.sdk.models import PoolReport

GUID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
NOW = datetime(2026, 11, 29, 18, 20, tzinfo=UTC)
PATIENCE_S = 20.0


def operation(number: int = 0) -> OperationRecord:
    return OperationRecord(
        id=str(number),
        kind="unmount",
        pool_guid=GUID,
        pool_label="shelf",
        outcome="succeeded",
        started_at=NOW,
        finished_at=NOW,
        step=3,
        steps=3,
        step_title="Stopping",
    )


def report(native_id: str = GUID, health: str = "active") -> PoolReport:
    return PoolReport.model_validate(
        {
            "native_id": native_id,
            "guid": None,
            "level": "raid1",
            "presence": "active",
            "health": health,
            "expected_members": 2,
            "members": (),
        }
    )


CHANGE = PoolChange(backend="toy", seen_at=NOW, before=None, after=report())


class Attentive:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[OperationRecord | PoolChange] = []
        self.starts: list[tuple[PoolChange, ...]] = []
        self._woken = threading.Condition()

    @hookimpl
    def backy_operation_finished(self, operation: OperationRecord) -> None:
        self._keep(operation)

    @hookimpl
    def backy_pool_changed(self, change: PoolChange) -> None:
        self._keep(change)

    @hookimpl
    def backy_pools_found(self, pools: tuple[PoolChange, ...]) -> None:
        with self._woken:
            self.starts.append(pools)
            self._woken.notify_all()

    def found(self, count: int) -> list[tuple[PoolChange, ...]]:
        """The pools that it was told of at the start, once that were ``count`` calls."""
        with self._woken:
            assert self._woken.wait_for(lambda: len(self.starts) >= count, PATIENCE_S)
            return list(self.starts)

    def _keep(self, record: OperationRecord | PoolChange) -> None:
        with self._woken:
            self.told.append(record)
            self._woken.notify_all()

    def after(self, count: int) -> list[OperationRecord | PoolChange]:
        """What it was told, once that is ``count`` records."""
        with self._woken:
            assert self._woken.wait_for(lambda: len(self.told) >= count, PATIENCE_S)
            return list(self.told)

    def operations(self, count: int) -> list[OperationRecord]:
        """The operations it was told of, once there are ``count``."""
        with self._woken:
            assert self._woken.wait_for(lambda: len(self._operations()) >= count, PATIENCE_S)
            return self._operations()

    def _operations(self) -> list[OperationRecord]:
        return [record for record in self.told if isinstance(record, OperationRecord)]


class Raising:
    @hookimpl
    def backy_operation_finished(self, operation: OperationRecord) -> None:
        raise SystemExit("deaf")


class Hanging:
    """Blocks in its first call until it is released."""

    def __init__(self) -> None:
        self.begun, self.release = threading.Event(), threading.Event()
        self.calls = 0

    @hookimpl
    def backy_operation_finished(self, operation: OperationRecord) -> None:
        self.begun.set()
        self.release.wait(PATIENCE_S)
        self.calls += 1


class Sender:
    """Answers a test with what it was made with."""

    def __init__(self, answers: object) -> None:
        self._answers = answers

    @hookimpl
    def backy_test_notification(self, directory: Path) -> Any:
        assert directory == Settings().plugins_dir / "sender"
        if isinstance(self._answers, Exception):
            raise self._answers
        return self._answers


def hosting(**listeners: object) -> PluginHost:
    host = load_backends((), installed_listeners=(), listeners=listeners.items())
    assert not host.failed
    return host


def wait_until(true: Callable[[], bool]) -> None:
    async def watch() -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not true():
                await asyncio.sleep(0.005)

    asyncio.run(watch())


def test_calls_come_in_the_order_of_what_happened() -> None:
    attentive = Attentive()
    host = hosting(good=attentive)
    expected: list[OperationRecord | PoolChange] = []
    for number in range(50):
        host.notify_operation_finished(operation(number))
        host.notify_pool_changed(CHANGE)
        expected += [operation(number), CHANGE]
    assert attentive.after(100) == expected


def test_a_listener_that_raises_gets_its_next_call(caplog: pytest.LogCaptureFixture) -> None:
    host = hosting(bad=Raising())
    host.notify_operation_finished(operation(1))
    host.notify_operation_finished(operation(2))
    wait_until(lambda: caplog.text.count("Listener bad failed") == 2)
    assert "deaf" in caplog.text


def test_listeners_that_raise_or_hang_delay_no_other() -> None:
    hanging, attentive = Hanging(), Attentive()
    host = hosting(bad=Raising(), stuck=hanging, good=attentive)
    host.notify_operation_finished(operation(1))
    host.notify_operation_finished(operation(2))
    assert attentive.after(2) == [operation(1), operation(2)]
    assert hanging.calls == 0
    hanging.release.set()


def test_a_slow_listener_misses_what_it_has_no_room_for(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin_listeners, "BACKLOG", 3)
    hanging = Hanging()
    host = hosting(slow=hanging)
    host.notify_operation_finished(operation())
    assert hanging.begun.wait(PATIENCE_S)
    for number in range(10):
        host.notify_operation_finished(operation(number))
    assert caplog.text.count("Listener slow is too slow: 3 calls wait for it") == 1
    hanging.release.set()
    wait_until(lambda: hanging.calls == 4)
    host.notify_operation_finished(operation())
    wait_until(lambda: hanging.calls == 5)
    assert "Listener slow missed 7 calls" in caplog.text


def test_a_listener_that_never_returns_keeps_no_thread_waiting_at_exit() -> None:
    hanging = Hanging()
    host = hosting(forever=hanging)
    host.notify_operation_finished(operation())
    assert hanging.begun.wait(PATIENCE_S)
    (thread,) = (each for each in threading.enumerate() if each.name == "listener-forever")
    assert thread.daemon
    hanging.release.set()


async def test_a_test_message_is_answered_by_every_target() -> None:
    answer = TargetAnswer(target="target 1 (json)", delivered=True)
    host = hosting(good=Attentive(), sender=Sender([answer]))
    assert await host.send_test_message() == (answer,)


@pytest.mark.parametrize("answers", [None, ["yes"], OSError("no route")])
async def test_a_listener_that_fails_in_a_test_is_blamed(answers: object) -> None:
    with pytest.raises(BackendFailure, match="Listener sender"):
        await hosting(sender=Sender(answers)).send_test_message()


def test_a_listener_without_a_hook_is_left_out() -> None:
    host = load_backends((), installed_listeners=(), listeners=[("mute", object())])
    (failed,) = host.failed
    assert failed.reason == "it implements no hook"


@pytest.mark.parametrize(("record", "field"), [(operation(), "outcome"), (CHANGE, "after")])
def test_records_are_frozen_and_survive_json(
    record: OperationRecord | PoolChange, field: str
) -> None:
    with pytest.raises(ValidationError):
        setattr(record, field, None)
    assert type(record).model_validate_json(record.model_dump_json()) == record


def test_changes_are_told_in_the_order_of_backend_and_native_id() -> None:
    gone, same, ill = report("c"), report("b"), report("a", "degraded")
    before = Snapshot(reports={"zfs": (gone, same), "md": (report("a"),)})
    after = Snapshot(reports={"zfs": (same, report("a")), "md": (ill,)})
    assert list(after.changes_since(before, NOW)) == [
        PoolChange(backend="md", seen_at=NOW, before=report("a"), after=ill),
        PoolChange(backend="zfs", seen_at=NOW, before=None, after=report("a")),
        PoolChange(backend="zfs", seen_at=NOW, before=gone, after=None),
    ]


def test_of_two_copies_of_a_pool_the_running_one_is_told() -> None:
    running, stopped = report(), report().model_copy(update={"presence": "stopped"})
    after = Snapshot(reports={"md": (running, stopped)})
    (change,) = after.changes_since(Snapshot(), NOW)
    assert change.after == running
