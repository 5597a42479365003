"""The host's side of the command channel."""

import json
import socket
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from . import netns, wire
from .errors import LabError
from .state import Running


class Sink(Protocol):
    """Takes a command's output as it comes."""

    def write(self, data: bytes, /) -> Any:
        """Take the next piece."""


@dataclass
class Buffer:
    """A sink that keeps everything."""

    data: bytearray = field(default_factory=bytearray)

    def write(self, data: bytes, /) -> None:
        """Keep the next piece."""
        self.data += data

    def text(self) -> str:
        """The written output, as UTF-8 with replacement."""
        return self.data.decode(errors="replace")


def execute(
    running: Running, request: dict[str, Any], out: Sink, err: Sink, timeout: float | None
) -> int:
    """Run a command in the guest; its exit status.

    TimeoutError after `timeout` seconds (the command is then killed); LabError when the guest goes
    away.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    sinks = {wire.OUT: out, wire.ERR: err}
    with _open(running) as sock:
        wire.send_json(sock, wire.REQUEST, {"call": "exec", **request})
        while True:
            sock.settimeout(_left(deadline))
            kind, payload = _receive(sock)
            if kind == wire.RESULT:
                return int(json.loads(payload)["status"])
            sinks[kind].write(payload)


def call(running: Running, name: str, timeout: float = 60, **arguments: Any) -> Any:
    """Ask the guest's server for something other than a command; LabError when it refuses."""
    with _open(running) as sock:
        sock.settimeout(timeout)
        wire.send_json(sock, wire.REQUEST, {"call": name, **arguments})
        answer = json.loads(_receive(sock)[1])
    if "error" in answer:
        raise LabError(answer["error"])
    return answer["value"]


def tell(running: Running, name: str, **arguments: Any) -> None:
    """Ask for something that leaves nobody to answer (power off)."""
    with _open(running) as sock:
        wire.send_json(sock, wire.REQUEST, {"call": name, **arguments})


def _open(running: Running) -> socket.socket:
    try:
        return netns.connect(running.inner, (wire.ADDRESS, wire.PORT), timeout=20)
    except OSError as error:
        raise LabError(f"The guest does not take commands: {error}.") from error


def _left(deadline: float | None) -> float | None:
    if deadline is None:
        return None
    return max(0.001, deadline - time.monotonic())


def _receive(sock: socket.socket) -> tuple[bytes, bytes]:
    try:
        return wire.receive(sock)
    except ConnectionError as error:
        raise LabError("The guest went away during a command.") from error
