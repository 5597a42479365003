"""Delivering what happened to listeners, after the fact.

Each listener has a queue and a daemon thread of its own: one that raises is logged, one that
hangs misses what comes later, and neither holds up the agent or another listener.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from pathlib import Path

import pluggy

from backy_core.sdk.settings import PluginSettings

BACKLOG = 1000
"""Calls kept for a slow listener; later ones are dropped until it catches up."""

_log = logging.getLogger(__name__)


class Listener:
    """One listener plugin. The thread starts with the first call and ends with the agent."""

    def __init__(
        self,
        name: str,
        manager: pluggy.PluginManager,
        settings: PluginSettings,
        directory: Path,
    ) -> None:
        self.name = name
        self.manager = manager
        self.settings = settings
        self.directory = directory
        self._calls: queue.Queue[Callable[[], object]] = queue.Queue(BACKLOG)
        self._dropped = 0
        self._thread: threading.Thread | None = None

    def post(self, call: Callable[[], object]) -> None:
        """Have ``call`` made soon, in order. Never blocks or raises. For one calling thread."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._deliver, name=f"listener-{self.name}", daemon=True
            )
            self._thread.start()
        try:
            self._calls.put_nowait(call)
        except queue.Full:
            self._drop()
        else:
            self._count_dropped()

    def _drop(self) -> None:
        if self._dropped == 0:
            _log.warning("Listener %s is too slow: %d calls wait for it", self.name, BACKLOG)
        self._dropped += 1

    def _count_dropped(self) -> None:
        if self._dropped:
            _log.warning("Listener %s missed %d calls", self.name, self._dropped)
            self._dropped = 0

    def _deliver(self) -> None:
        while True:
            call = self._calls.get()
            try:
                call()
            except BaseException:  # whatever a plugin raises, the next call is made
                _log.exception("Listener %s failed", self.name)
