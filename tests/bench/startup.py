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
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench.figures import Comparison, Goal

_REFERENCE = "bare Quart + hypercorn, same libraries"
_NO_BYTE_CODE = "PYTHONDONTWRITEBYTECODE"
_PATIENCE_S = 30.0
_LOOK_S = 0.002
_REQUEST = b"GET /api/v1/status HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
_GOAL = Goal(at_most=1.3)


def compare(repetitions: int) -> list[Comparison]:
    for side in (_bare, _agent):
        _start(side)
    rounds = [(_start(_agent), _start(_bare)) for _ in range(repetitions)]
    ours, theirs = [mine for mine, _ in rounds], [other for _, other in rounds]
    times = [ms for ms, _ in ours], [ms for ms, _ in theirs]
    sizes = [mib for _, mib in ours], [mib for _, mib in theirs]
    return [
        Comparison("Start to first 200", _REFERENCE, "ms", *times, _GOAL),
        Comparison("Resident memory then", _REFERENCE, "MiB", *sizes, _GOAL),
    ]


def _agent(port: int, directory: str) -> Sequence[str]:
    flags = [f"--{kind}-dir={directory}/{kind}" for kind in ("state", "runtime", "config")]
    command = [sys.executable, "-m", "backy_core", "serve", f"--port={port}", *flags]
    return [*command, "--exclude-drives=*", "--log-level=error"]


def _bare(port: int, _: str) -> Sequence[str]:
    return [sys.executable, "-m", "tests.bench.bare_app", str(port)]


def _start(side: Callable[[int, str], Sequence[str]]) -> tuple[float, float]:
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
                return elapsed * 1000, _resident(server.pid)
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


def _resident(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1024
