"""Delivering to one target: oldest first, again and again, until it takes the message."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from backy_notify.alerts import Alert
from backy_notify.store import Message, Store
from backy_notify.targets import Target

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 300.0
_log = logging.getLogger(__name__)


class Delivery:
    """A target's thread. It ends with the process, or after :meth:`stop`."""

    def __init__(self, store: Store, target: Target, give_up_after: timedelta) -> None:
        self.target = target
        self._store = store
        self._give_up_after = give_up_after
        self._woken = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=self._deliver, name=f"notify {target.name}", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """There is a message, or soon may be one."""
        self._woken.set()

    def stop(self) -> None:
        """End the thread, after an attempt that is being made."""
        self._stopped.set()
        self._woken.set()
        self._thread.join()

    def _deliver(self) -> None:
        while not self._stopped.is_set():
            try:
                self._deliver_all()
            except Exception as error:  # of the disk: what apprise raises is an answer
                _log.error("Messages for %s wait: %s", self.target.name, error)
                self._stopped.wait(LONGEST_PAUSE_S)

    def _deliver_all(self) -> None:
        failures = 0
        while not self._stopped.is_set() and (message := self._store.next(self.target.key)):
            reason = self.target.send(message.alert)
            if reason is not None and not self._is_too_old(message):
                failures += 1
                self._pause(message.alert, reason, failures)
                continue
            failures = 0
            self._store.remove(message)
            _log_end(self.target.name, message.alert, reason)
        self._woken.wait()
        self._woken.clear()
        with suppress(Exception):  # an attempt to send tells what is wrong
            self.target.prepare()

    def _pause(self, alert: Alert, reason: str, failures: int) -> None:
        """A new message does not shorten it: the older one goes first."""
        pause_s = min(FIRST_PAUSE_S * 2 ** min(failures - 1, 16), LONGEST_PAUSE_S)
        _log.log(
            logging.WARNING if failures == 1 else logging.INFO,
            "Not delivered to %s, trying again in %g s: %s (%s)",
            *(self.target.name, pause_s, alert.title, reason),
        )
        self._stopped.wait(pause_s)

    def _is_too_old(self, message: Message) -> bool:
        return datetime.now(UTC) - message.made_at > self._give_up_after


def _log_end(target: str, alert: Alert, reason: str | None) -> None:
    if reason is None:
        _log.info("Delivered to %s: %s", target, alert.title)
    else:
        _log.error("Gave up delivering to %s: %s (%s)", target, alert.title, reason)
