"""The command server: one thread for each request that comes in over the private network."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

from .. import wire
from . import commands
from .agent import Agent
from .machine import power_off, write
from .scsi import Shelf


class Server:
    """Answers `exec` with a stream and everything else with one result."""

    def __init__(self, shelf: Shelf | None, spec: dict[str, Any]) -> None:
        self._shelf = shelf
        self._spec = spec
        self._agent = Agent()
        self._calls: dict[str, Callable[[dict[str, Any]], Any]] = {
            "ping": lambda request: {},
            "plug": self._plug,
            "unplug": lambda request: self._drives().unplug(request["drive"]),
            "fault": lambda request: self._drives().fault(request["drive"], request["kind"]),
            "agent-start": self._agent.start,
            "agent-signal": self._agent.signal,
            "agent-status": lambda request: self._agent.status(),
            "halt": self._halt,
        }

    def run(self) -> None:
        """Serve until the machine ends."""
        listener = socket.create_server((wire.ADDRESS, wire.PORT), backlog=64)
        write("/.lab/ready", "")
        while True:
            sock, _ = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._answer, args=(sock,), daemon=True).start()

    def _answer(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(ConnectionError):
            request = json.loads(wire.receive(sock)[1])
            if request["call"] == "exec":
                commands.execute(sock, request)
                return
            try:
                answer = {"value": self._calls[request["call"]](request)}
            except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
                answer = {"error": str(error)}
            wire.send_json(sock, wire.RESULT, answer)

    def _drives(self) -> Shelf:
        if self._shelf is None:
            raise ValueError("This guest has no drives on the scsi bus.")
        return self._shelf

    def _plug(self, request: dict[str, Any]) -> None:
        self._drives().plug(request["drive"])
        if self._spec["udev"]:
            subprocess.run(["udevadm", "settle", "--timeout=10"], check=False)

    def _halt(self, request: dict[str, Any]) -> None:
        """Shut down as a distribution would: TERM, time to end, unmount, power off."""
        try:
            if request["orderly"]:
                self._agent.signal({"signal": "SIGTERM", "seconds": request["seconds"]})
                _end_processes()
                _unmount_all()
        finally:
            os.sync()
            power_off()


def _end_processes() -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) not in (1, os.getpid()) and _is_user(name):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(name), number)
        time.sleep(0.1)


def _is_user(pid: str) -> bool:
    """Kernel threads have no executable."""
    with contextlib.suppress(OSError):
        return bool(os.readlink(f"/proc/{pid}/exe"))
    return False


def _unmount_all() -> None:
    with open("/proc/self/mounts", encoding="utf-8") as file:
        mounts = [line.split()[:2] for line in file]
    for source, target in reversed(mounts):
        if source.startswith("/dev/"):
            subprocess.run(["umount", target], capture_output=True, check=False)
    subprocess.run(["mdadm", "--stop", "--scan"], capture_output=True, check=False)
