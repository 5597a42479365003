"""Notify systemd of the agent's state: `sd_notify(3)`."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from backy_core.system.clock import SystemClock


class Notifier:
    """Sends states to the socket that the environment names; without one it does nothing."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._address = env.get("NOTIFY_SOCKET", "")
        self._watchdog_s = _watchdog_seconds(env)

    def tell(self, state: str) -> None:
        """``READY=1``, ``STOPPING=1``, ``WATCHDOG=1``."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
            try:
                sender.sendto(state.encode(), address)
            except OSError:  # a manager that does not listen is no reason to stop
                return

    async def keep_alive(self) -> None:
        """Show that the event loop turns, twice in each of systemd's periods."""
        while self._watchdog_s:
            self.tell("WATCHDOG=1")
            await SystemClock().beat(self._watchdog_s / 2)


def _watchdog_seconds(env: Mapping[str, str]) -> float:
    if env.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0
    period = env.get("WATCHDOG_USEC", "")
    return int(period) / 1_000_000 if period.isdecimal() else 0
