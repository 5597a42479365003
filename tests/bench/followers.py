"""What clients that follow the events cost: those who ask meanwhile, and memory.

`python -m tests.bench.followers PORT COUNT` is so many clients, in one process: it prints a line
once each has had its snapshot, and reads until it is ended.
"""

from __future__ import annotations

import selectors
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.figures import Amount, Comparison, Goal, Row
from tests.bench.load import connect, get, requests_per_second
from tests.bench.many_pools import KEY
from tests.bench.reads import served_agent
from tests.bench.servers import RESIDENT_PATH

_CLIENTS = 200
_POOLS = 100
_CHANGE_S = 0.1
_SECONDS = 0.5
_WARM_UP_S = 0.3
_AT_MOST_KIB = 50.0
_CHUNK = 1 << 18
_ASKED = "/api/v1/pools"


def measure(repetitions: int) -> list[Row]:
    return [_cost(repetitions), _memory(repetitions)]


def _cost(repetitions: int) -> Comparison:
    """Each round without clients and with them, on one agent, of which a pool changes."""
    alone, beside = [], []
    with _agent(_CHANGE_S) as port:
        requests_per_second(port, _ASKED, KEY, _WARM_UP_S)
        for _ in range(repetitions):
            alone.append(requests_per_second(port, _ASKED, KEY, _SECONDS))
            with _followed(port, _CLIENTS):
                requests_per_second(port, _ASKED, KEY, _WARM_UP_S)
                beside.append(requests_per_second(port, _ASKED, KEY, _SECONDS))
    return Comparison(
        f"GET list, {_POOLS} pools, {_CLIENTS} clients follow 10 events/s",
        "the same without these clients",
        "requests/s",
        beside,
        alone,
        Goal(at_least=0.9),
    )


def _memory(repetitions: int) -> Amount:
    sizes = []
    for _ in range(repetitions):
        with _agent() as port, _followed(port, 1):
            before = _resident(port)
            with _followed(port, _CLIENTS):
                sizes.append((_resident(port) - before) / _CLIENTS)
    return Amount("Memory for each client of the events", "KiB", sizes, _AT_MOST_KIB)


def _resident(port: int) -> int:
    return int(get(port, RESIDENT_PATH, KEY))


@contextmanager
def _agent(change_s: float = 0) -> Iterator[int]:
    with (
        tempfile.TemporaryDirectory(prefix="backy-bench-") as directory,
        served_agent(_POOLS, Path(directory) / "agent", change_s) as port,
    ):
        yield port


@contextmanager
def _followed(port: int, count: int) -> Iterator[None]:
    """While so many clients follow."""
    command = [sys.executable, "-m", "tests.bench.followers", str(port), str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as clients:
        try:
            assert clients.stdout is not None
            if not clients.stdout.readline():
                raise RuntimeError("the clients do not follow")
            yield
        finally:
            clients.kill()


def main(port: str, count: str) -> None:
    request = f"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {KEY}\r\n\r\n"
    with selectors.DefaultSelector() as selector:
        for _ in range(int(count)):
            client = connect(int(port))
            client.sendall(request.encode())
            head = client.recv(_CHUNK)
            if b" 200 " not in head.partition(b"\r\n")[0]:
                raise SystemExit(head.decode())
            selector.register(client, selectors.EVENT_READ)
        print("all follow", flush=True)
        while True:
            for key, _ in selector.select():
                if not key.fileobj.recv(_CHUNK):  # type: ignore[union-attr]
                    raise SystemExit("the agent let a client go")


if __name__ == "__main__":
    main(*sys.argv[1:])
