"""Events that become messages, once each."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from backy_notify import alerts
from backy_notify.settings import EVENTS, EventName
from backy_notify.store import Message, Store
from backy_notify.watch import Watch

from backy_core.sdk.events import OperationRecord, PoolChange

from .notify_pools import (
    CHECK,
    DRIVES,
    FAILED,
    FIRST_SYNC,
    GUID,
    NOW,
    PULLED,
    REBUILDING,
    WHOLE,
    change,
    operation,
    report,
)

TARGET = "a target"


class Watched:
    """A watch whose pools are judged at once, and the messages that it left."""

    def __init__(self, directory: Path, events: tuple[EventName, ...] = EVENTS) -> None:
        self.store = Store(directory)
        self.watch = Watch(self.store, "nas2", events, [TARGET])

    def saw(self, *events: PoolChange | OperationRecord) -> list[str]:
        """The titles of the messages that these left."""
        for event in events:
            if isinstance(event, PoolChange):
                guid = self.watch.note(event)
            else:
                guid = self.watch.operation(event)
            if guid is not None:
                self.watch.judge(guid)
        return [message.alert.title for message in self.messages()]

    def messages(self) -> list[Message]:
        taken = []
        while message := self.store.next(TARGET):
            self.store.remove(message)
            taken.append(message)
        return taken


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path)
    yield watched
    watched.store.close()


def test_a_failed_member_is_one_message_with_what_to_do(watched: Watched) -> None:
    assert watched.saw(change(WHOLE)) == []
    guid = watched.watch.note(change(FAILED))
    assert guid is not None and watched.watch.judge(guid)
    (message,) = watched.messages()
    assert message.alert == alerts.Alert(
        "warning",
        "nas2: pool shelf is degraded",
        "Pool shelf (3fa85f64, mdadm raid1) is degraded since 2026-11-29 18:20:00 UTC.\n"
        "1 of 2 members work.\n"
        "Drive WD-2 (WDC WD40EFRX, 4.0 TB) has failed.\n"
        "Take it back once it works: backy pools add-drive shelf WD-2\n"
        "Or replace it: backy pools replace shelf WD-2 NEW-SERIAL\n"
        "See: backy pools show shelf",
    )


def test_a_condition_is_told_once(watched: Watched) -> None:
    assert len(watched.saw(change(FAILED))) == 1
    assert watched.saw(change(FAILED), change(PULLED), change(FAILED)) == []


def test_a_condition_that_does_not_last_is_not_told(watched: Watched) -> None:
    """The watch is asked once the state has lasted, and judges by the latest one."""
    guid = watched.watch.note(change(FAILED))
    watched.watch.note(change(WHOLE))
    assert guid is not None and not watched.watch.judge(guid)
    assert watched.messages() == []


def test_a_worse_condition_is_told_again(watched: Watched) -> None:
    assert watched.saw(change(FAILED)) == ["nas2: pool shelf is degraded"]
    broken = report("failed", "failed", health="failed")
    assert watched.saw(change(broken)) == ["nas2: pool shelf has failed"]


def test_a_repaired_pool_is_told_and_may_break_again(watched: Watched) -> None:
    watched.saw(change(FAILED))
    assert watched.saw(change(REBUILDING)) == []
    assert watched.saw(change(WHOLE)) == ["nas2: pool shelf is complete again"]
    assert watched.saw(change(WHOLE)) == []
    assert watched.saw(change(FAILED)) == ["nas2: pool shelf is degraded"]


@pytest.mark.parametrize("building", [FIRST_SYNC, REBUILDING], ids=["resync", "recovery"])
def test_a_first_build_tells_nothing(watched: Watched, building: object, tmp_path: Path) -> None:
    """Nor does it if the agent is restarted meanwhile."""
    unfinished = change(building, busy=True)  # type: ignore[arg-type]
    assert watched.saw(unfinished, operation("create", "succeeded")) == []
    watched.store.close()
    watched.store = Store(tmp_path)
    watched.watch = Watch(watched.store, "nas2", EVENTS, [TARGET])
    assert watched.saw(change(building), change(WHOLE)) == []  # type: ignore[arg-type]
    assert watched.saw(change(FIRST_SYNC)) == []
    assert watched.saw(change(WHOLE)) == ["nas2: pool shelf is complete again"]


def test_a_routine_check_tells_nothing(watched: Watched) -> None:
    assert watched.saw(change(WHOLE), change(CHECK), change(WHOLE)) == []


def test_a_diverged_member_is_told(watched: Watched) -> None:
    diverged = report("active", "diverged", health="active", expected_members=1)
    assert watched.saw(change(diverged)) == ["nas2: pool shelf has a diverged member"]


def test_a_pool_without_its_drives_is_told_with_their_names(watched: Watched) -> None:
    guid = watched.watch.note(change(None))
    assert guid is not None and watched.watch.judge(guid)
    (message,) = watched.messages()
    assert message.alert.title == "nas2: pool shelf is not there"
    assert "WD-1 (WDC WD40EFRX, 4.0 TB, top), WD-2" in message.alert.body


def test_a_shelved_pool_is_not_watched(watched: Watched) -> None:
    stopped = report("active", "missing", presence="stopped", health="inactive")
    shelved = change(stopped, should_be_mounted=False)
    assert watched.saw(shelved, change(None, should_be_mounted=False)) == []
    assert watched.saw(change(stopped)) == ["nas2: pool shelf is degraded"]


def test_a_replaced_drive_is_not_missed(watched: Watched) -> None:
    whole = report("active", "failed", health="active", expected_members=1, degraded=False)
    assert watched.saw(change(whole, drives=DRIVES[:1])) == []


def test_a_pool_that_is_worked_on_is_judged_afterwards(watched: Watched) -> None:
    assert watched.saw(change(PULLED, busy=True)) == []
    assert watched.saw(operation("add", "succeeded")) == ["nas2: pool shelf is degraded"]


def test_a_deleted_pool_is_forgotten(watched: Watched) -> None:
    watched.saw(change(FAILED))
    assert watched.saw(change(None, busy=True), operation("delete", "succeeded")) == []
    assert watched.store.facts(GUID) == {}


def test_a_pool_nobody_remembers_is_not_told(watched: Watched) -> None:
    assert watched.saw(change(FAILED).model_copy(update={"pool": None})) == []


def test_a_degraded_pool_is_told_once_over_restarts(watched: Watched, tmp_path: Path) -> None:
    assert len(watched.saw(change(FAILED))) == 1
    again = Watched(tmp_path)
    assert again.saw(change(FAILED)) == []
    again.store.close()


def test_a_failed_operation_is_told_once_an_hour(watched: Watched) -> None:
    assert watched.saw(operation()) == ["nas2: mount of pool shelf failed"]
    assert watched.saw(operation()) == []
    assert watched.saw(operation(error_code="POOL_BUSY")) != [], "another reason"
    assert watched.saw(operation(finished_at=NOW + timedelta(hours=2))) != []
    assert watched.saw(operation(outcome="succeeded"), operation()) != [], "it worked meanwhile"


def test_what_was_cancelled_is_not_told(watched: Watched) -> None:
    assert watched.saw(operation(outcome="cancelled"), operation(outcome="succeeded")) == []


def test_a_recovery_is_told_with_its_end(watched: Watched) -> None:
    title = "nas2: the agent was interrupted during create of pool shelf"
    recovered = operation("create", "succeeded", recovery=True)
    assert watched.saw(recovered, recovered) == [title, title]
    failed = operation("create", recovery=True)
    assert watched.saw(failed, failed) == [title], "tried again with each drive that comes"


def test_events_that_are_not_chosen_are_not_told(tmp_path: Path) -> None:
    watched = Watched(tmp_path, ("diverged",))
    titles = watched.saw(change(FAILED), operation(), operation(recovery=True), change(WHOLE))
    assert titles == []
    watched.store.close()


@pytest.mark.parametrize("label", ["--yes", "a 'b'\n$(reboot)", "", "-x"])
def test_a_command_can_be_pasted_whatever_the_label(watched: Watched, label: str) -> None:
    guid = watched.watch.note(change(FAILED, label=label))
    assert guid is not None and watched.watch.judge(guid)
    (message,) = watched.messages()
    assert message.alert.body.endswith("See: backy pools show 3fa85f64")
    assert "\n" not in message.alert.title
