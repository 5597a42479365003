"""Messages reach a real web server and a real mail server, whatever happens meanwhile."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from backy_notify import delivery, store
from backy_notify.desk import Desk, send_test
from backy_notify.settings import Settings

from backy_core.logs import configure_logging

from .notify_pools import FAILED, change, operation
from .receiving_servers import SECRET, MailServer, Webhook

GOAL_S, SLACK_S = 2.0, 8.0
"""From an event to its message; what a busy machine may add."""
MakeDesk = Callable[..., Desk]
_CHILD = """
import sys, time
from pathlib import Path
from backy_notify.desk import Desk
from backy_notify.settings import Settings
from backy_core.sdk.events import OperationRecord
directory, settings, *operations = sys.argv[1:]
desk = Desk(Settings.model_validate_json(settings), Path(directory))
for operation in operations:
    desk.operation(OperationRecord.model_validate_json(operation))
print("noted", flush=True)
time.sleep(60)
"""


@pytest.fixture
def make_desk(tmp_path: Path) -> Iterator[MakeDesk]:
    desks: list[Desk] = []

    def make(*targets: str, **settings: Any) -> Desk:
        fields = {"debounce_s": 0.05, "host": "nas2", **settings, "targets": targets}
        desks.append(Desk(Settings.model_validate(fields), tmp_path / "state" / "notify"))
        return desks[-1]

    yield make
    for desk in desks:
        desk.close()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(delivery, "LONGEST_PAUSE_S", 0.2)


@pytest.fixture
def agent_log() -> Iterator[StringIO]:
    """The agent's own log, at its most talkative."""
    root, log = logging.getLogger(), StringIO()
    handlers, level = root.handlers[:], root.level
    configure_logging("debug", "text", log)
    yield log
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def without_throttle(monkeypatch: pytest.MonkeyPatch) -> None:
    """apprise lets 5.5 s pass between two mails."""
    from apprise.plugins.email import NotifyEmail

    monkeypatch.setattr(NotifyEmail, "request_rate_per_sec", 0)


def failed(number: int) -> Any:
    """An operation that fails for another reason each time."""
    return operation(error_code=f"CODE_{number}", finished_at=datetime.now(UTC))


def test_an_event_is_delivered_within_two_seconds(make_desk: MakeDesk) -> None:
    """With the debounce that is set by default, and apprise yet to be loaded by the target."""
    with Webhook() as webhook, MailServer() as mail:
        desk = make_desk(webhook.url, mail.url, debounce_s=1)
        began = time.monotonic()
        desk.pools([change(FAILED)])
        ((title, text),) = webhook.received.after(1)
        took_s = time.monotonic() - began
        print(f"From the event to the message: {took_s:.2f} s")
        assert title == "nas2: pool shelf is degraded" and "WD-2" in text
        ((subject, body),) = mail.received.after(1)
        assert subject == title and "backy pools replace shelf WD-2" in body
        assert 1 <= took_s < GOAL_S + SLACK_S


@pytest.mark.usefixtures("without_throttle")
def test_messages_wait_for_a_target_that_is_down(
    make_desk: MakeDesk, caplog: pytest.LogCaptureFixture
) -> None:
    webhook, mail = Webhook(), MailServer()
    desk = make_desk(webhook.url, mail.url)
    with mail:
        for number in range(3):
            desk.operation(failed(number))
        assert len(mail.received.after(3)) == 3, "the other target does not wait"
        with webhook:
            first = [text for _, text in webhook.received.after(3)]
        for number, text in enumerate(first):
            assert f"CODE_{number}" in text, "oldest first"
    desk.operation(failed(3))
    with webhook, mail:
        assert "CODE_3" in webhook.received.after(4)[-1][1]
        assert "CODE_3" in mail.received.after(4)[-1][1]
    assert "Not delivered to target 1 (json), trying again in 0.05 s" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.usefixtures("without_throttle")
def test_messages_survive_a_kill(make_desk: MakeDesk, tmp_path: Path) -> None:
    webhook, mail = Webhook(), MailServer()
    settings = '{"targets": ["%s", "%s"], "debounce_s": 0}' % (webhook.url, mail.url)  # noqa: UP031
    operations = [failed(number).model_dump_json() for number in range(2)]
    arguments = [str(tmp_path / "state" / "notify"), settings, *operations]
    program = f"import sys; sys.path += {sys.path!r}\n{_CHILD}"
    child = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None and child.stdout.readline() == "noted\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    with webhook, mail:
        make_desk(webhook.url, mail.url)
        for received in (webhook.received, mail.received):
            for number, (_, text) in enumerate(received.after(2)):
                assert f"CODE_{number}" in text


def test_a_refusal_is_tried_again_and_given_up_in_the_end(
    make_desk: MakeDesk, caplog: pytest.LogCaptureFixture
) -> None:
    with Webhook() as webhook:
        webhook.status = 401
        desk = make_desk(webhook.url, give_up_after_h=1)
        desk.operation(failed(1))
        webhook.received.until(lambda: webhook.attempts >= 3)
        old = operation(error_code="OLD", finished_at=datetime.now(UTC) - timedelta(hours=2))
        webhook.status = 200
        webhook.received.after(1)
        webhook.status = 401
        desk.operation(old)
        desk.operation(failed(2))
        webhook.received.until(lambda: webhook.attempts >= 6)
        webhook.status = 200
        assert [("OLD" in text) for _, text in webhook.received.after(2)] == [False, False]
    assert "Gave up delivering to target 1 (json)" in caplog.text
    assert SECRET not in caplog.text


def test_no_secret_is_logged_at_any_level_nor_answered(agent_log: StringIO) -> None:
    with Webhook() as webhook:
        settings = Settings.model_validate({"targets": [webhook.url, "nosuch://123:abcdef/777"]})
        assert [answer.delivered for answer in send_test(settings)] == [True, False]
        webhook.status = 403
        first, second = send_test(settings)
    assert (first.target, second.target) == ("target 1 (json)", "target 2 (nosuch)")
    assert "403" in str(first.reason)
    assert second.reason == "apprise does not understand the address."
    logging.getLogger("backy_notify").debug("the log is read")
    assert "the log is read" in agent_log.getvalue()
    shown = f"{agent_log.getvalue()} {first} {second} {settings!r} {settings.model_dump_json()}"
    assert SECRET not in shown and "abcdef" not in shown


def test_a_test_says_what_is_wrong() -> None:
    settings = Settings.model_validate({"targets": [Webhook().url, MailServer().url]})
    answers = send_test(settings)
    assert not any(answer.delivered for answer in answers)
    assert all(answer.reason and "127.0.0.1" not in answer.reason for answer in answers)
    assert send_test(Settings()) == []


def test_the_queue_is_bounded_and_the_oldest_makes_room(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(store, "MOST_MESSAGES", 3)
    webhook = Webhook()
    desk = make_desk(webhook.url)
    for number in range(5):
        desk.operation(failed(number))
    with webhook:
        texts = [text for _, text in webhook.received.after(3)]
    assert ["CODE_2" in texts[0], "CODE_4" in texts[2]] == [True, True]
    assert "the oldest is dropped" in caplog.text


def test_messages_for_a_target_that_is_not_set_any_more_are_dropped(
    make_desk: MakeDesk, caplog: pytest.LogCaptureFixture
) -> None:
    make_desk(Webhook().url).operation(failed(1))
    make_desk(Webhook().url)
    assert "1 messages are dropped" in caplog.text


def test_only_root_can_read_what_is_kept(make_desk: MakeDesk, tmp_path: Path) -> None:
    make_desk(Webhook().url)
    directory = tmp_path / "state" / "notify"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / "notify.db").stat().st_mode) == 0o600


def test_a_damaged_file_is_kept_and_begun_anew(make_desk: MakeDesk, tmp_path: Path) -> None:
    directory = tmp_path / "state" / "notify"
    directory.mkdir(parents=True)
    (directory / "notify.db").write_bytes(b"no database" * 100)
    with Webhook() as webhook:
        make_desk(webhook.url).operation(failed(1))
        webhook.received.after(1)
    assert (directory / "notify.damaged").read_bytes().startswith(b"no database")
    with sqlite3.connect(directory / "notify.db") as database:
        assert database.execute("PRAGMA quick_check").fetchone() == ("ok",)
