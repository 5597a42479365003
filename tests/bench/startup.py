"""From exec to the first 200, and what the process then holds in memory.

On the host's own kernel, so every drive is excluded: the agent reads sysfs and opens no device.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from tests.bench.figures import Comparison, Goal, Unit
from tests.bench.machine import resident_kib

_REFERENCES = {
    "hypercorn": "bare Quart + hypercorn, same libraries",
    "own": "the same on the agent's server",
}
_NO_BYTE_CODE = "PYTHONDONTWRITEBYTECODE"
_PATIENCE_S = 30.0
_LOOK_S = 0.002
_REQUEST = b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_FIGURES: tuple[tuple[str, Unit], ...] = (
    ("Start to first 200", "ms"),
    ("Resident memory then", "MiB"),
)
Side = Callable[[int, str], Sequence[str]]
_GOAL = Goal(at_most=1.1)


def compare(repetitions: int) -> list[Comparison]:
    references = {name: partial(_bare, name) for name in _REFERENCES}
    sides: Mapping[str, Side] = {"agent": _agent, **references}
    for side in sides.values():
        _start(side)
    turns = [{name: _start(side) for name, side in sides.items()} for _ in range(repetitions)]
    rows = []
    for name, reference in _REFERENCES.items():
        goal = _GOAL if name == "hypercorn" else Goal()
        for number, (what, unit) in enumerate(_FIGURES):
            ours, theirs = ([turn[side][number] for turn in turns] for side in ("agent", name))
            rows.append(Comparison(what, reference, unit, ours, theirs, goal))
    return rows


def _agent(port: int, directory: str) -> Sequence[str]:
    flags = [f"--{kind}-dir={directory}/{kind}" for kind in ("state", "runtime", "config")]
    command = [sys.executable, "-m", "backy_core", "serve", f"--port={port}", *flags]
    return [*command, "--exclude-drives=*", "--log-level=error"]


def _bare(server: str, port: int, _: str) -> Sequence[str]:
    return [sys.executable, "-m", "tests.bench.bare_app", server, str(port)]


def _start(side: Side) -> tuple[float, float]:
    """Milliseconds to the first 200, MiB resident at that moment.

    The warm-up leaves byte code for the others, whatever the environment says of it.
    """
    env = {name: value for name, value in os.environ.items() if name != _NO_BYTE_CODE}
    with tempfile.TemporaryDirectory(prefix="backy-bench-") as directory:
        for kind in ("state", "runtime", "config"):
            Path(directory, kind).mkdir()
        port = _free_port()
        began = time.perf_counter()
        with subprocess.Popen(side(port, directory), env=env) as server:
            try:
                _await_answer(server, port)
                elapsed = time.perf_counter() - began
                return elapsed * 1000, resident_kib(server.pid) / 1024
            finally:
                server.kill()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _await_answer(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not _answers(port):
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{server.args!r} did not come up")
        time.sleep(_LOOK_S)


def _answers(port: int) -> bool:
    """The agent listens before it can answer; the connection then waits."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S) as sock:
            sock.sendall(_REQUEST)
            return b" 200" in sock.recv(4096).partition(b"\r\n")[0]
    except OSError:
        return False
