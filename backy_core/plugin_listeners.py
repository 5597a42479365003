"""Delivering what happened to listeners, after the fact.

Each listener has a queue and a daemon thread of its own: one that raises is logged, one that
hangs misses what comes later, and neither holds up the agent or another listener.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

import pluggy

BACKLOG = 1000
"""Events kept for a slow listener; later ones are dropped until it catches up."""

_log = logging.getLogger(__name__)


class Listener:
    """One listener plugin. The thread starts with the first event and ends with the agent."""

    def __init__(self, name: str, manager: pluggy.PluginManager) -> None:
        self.name = name
        self.manager = manager
        self._events: queue.Queue[Callable[[], object]] = queue.Queue(BACKLOG)
        self._thread: threading.Thread | None = None

    def post(self, call: Callable[[], object]) -> None:
        """Have ``call`` made soon, in order; never blocks nor raises."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._deliver, name=f"listener-{self.name}", daemon=True
            )
            self._thread.start()
        try:
            self._events.put_nowait(call)
        except queue.Full:
            _log.warning("Listener %s is too slow; an event was dropped", self.name)

    def _deliver(self) -> None:
        while True:
            call = self._events.get()
            try:
                call()
            except BaseException:  # whatever a plugin raises, the next event is delivered
                _log.exception("Listener %s failed", self.name)
