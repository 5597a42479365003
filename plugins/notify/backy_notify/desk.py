"""The parts of one agent's messages: what is watched, what waits, and who delivers it."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from backy_core.sdk.events import OperationRecord, PoolChange, TargetAnswer
from backy_notify import alerts
from backy_notify.delivery import Delivery
from backy_notify.settings import Settings
from backy_notify.store import Store
from backy_notify.targets import Target
from backy_notify.watch import Watch

_log = logging.getLogger(__name__)


class Desk:
    """Lives as long as the agent. Its threads end with the process, or with :meth:`close`."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        """Begin with the messages that an earlier run left."""
        targets = targets_of(settings)
        self._store = Store(directory)
        keys = [target.key for target in targets]
        if dropped := self._store.keep_only(keys):
            _log.warning("%d messages are dropped: their targets are not set any more", dropped)
        self._watch = Watch(self._store, host_of(settings), settings.events, keys)
        give_up_after = timedelta(hours=settings.give_up_after_h)
        self._deliveries = [Delivery(self._store, target, give_up_after) for target in targets]
        self._debounce_s = settings.debounce_s
        self._due: dict[str, float] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._judge = threading.Thread(target=self._judge_due, name="notify judge", daemon=True)
        self._judge.start()
        for delivery in self._deliveries:
            delivery.start()

    def pools(self, changes: Iterable[PoolChange]) -> None:
        """Take over what was seen of pools."""
        with self._changed:
            for change in changes:
                self._expect(self._watch.note(change))

    def operation(self, operation: OperationRecord) -> None:
        """Take over the end of an operation."""
        with self._changed:
            self._expect(self._watch.operation(operation))
        self._wake()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._judge.join()
        for delivery in self._deliveries:
            delivery.stop()
        self._store.close()

    def _expect(self, guid: str | None) -> None:
        """Judge a pool once its state has lasted, by what is seen of it then."""
        if guid is not None and guid not in self._due:
            self._due[guid] = time.monotonic() + self._debounce_s
            self._changed.notify_all()
            if self._watch.has_news(guid):
                self._wake()  # to load what sending needs meanwhile

    def _judge_due(self) -> None:
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                for guid in [guid for guid, due in self._due.items() if due <= now]:
                    del self._due[guid]
                    self._judge_one(guid)
                wait_s = min(self._due.values()) - now if self._due else None
                self._changed.wait(wait_s)

    def _judge_one(self, guid: str) -> None:
        try:
            if self._watch.judge(guid):
                self._wake()
        except Exception:  # of the disk: the next change of the pool is judged as well
            _log.exception("What is new of pool %s could not be noted", guid)

    def _wake(self) -> None:
        for delivery in self._deliveries:
            delivery.wake()


def send_test(settings: Settings) -> list[TargetAnswer]:
    """Send a test message to every target at once, and wait for the answers."""
    targets = targets_of(settings)
    if not targets:
        return []
    alert = alerts.of_test(host_of(settings), datetime.now(UTC))
    with ThreadPoolExecutor(len(targets), "notify test") as pool:
        reasons = pool.map(lambda target: target.send(alert), targets)
        return [
            TargetAnswer(target=target.name, delivered=reason is None, reason=reason)
            for target, reason in zip(targets, reasons, strict=True)
        ]


def targets_of(settings: Settings) -> list[Target]:
    return [Target(number, url) for number, url in enumerate(settings.targets, 1)]


def host_of(settings: Settings) -> str:
    return settings.host or socket.gethostname()
