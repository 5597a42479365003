"""How many GETs a second the agent answers, against a bare route that sends the same bytes.

Both sides are served by the agent's own HTTP server.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.bench.figures import Comparison, Goal
from tests.bench.load import get, requests_per_second
from tests.bench.many_pools import KEY, guids
from tests.bench.servers import COUNT_PATH

_SECONDS = 0.3
_WARM_UP_S = 0.3
_CHANGE_S = 0.1
_CHANGING = re.compile(rb',"(used|available|usePercent|resyncPercentage)":[^,}]+')
_LIST = Goal(at_least=0.85)
_OTHERS = Goal(at_least=0.92)


class Request(NamedTuple):
    """One row: what is asked for, and the goal of its ratio."""

    what: str
    path: str
    goal: Goal


def compare(repetitions: int) -> list[Comparison]:
    rows: list[Comparison] = []
    for count in (10, 100, 1000):
        rows += _compare(count, _requests(count), repetitions)
    listing = Request("GET list, 1000 pools, one changes every 100 ms", "/api/v1/pools", _LIST)
    rows += _compare(1000, [listing], repetitions, change_s=_CHANGE_S)
    return rows


def _requests(count: int) -> list[Request]:
    detail = f"/api/v1/pools/{guids(count)[count // 2]}"
    requests = [
        Request(f"GET detail, {count} pools", detail, _OTHERS),
        Request(f"GET list, {count} pools", "/api/v1/pools", _LIST),
    ]
    if count == 100:
        requests.append(Request(f"GET drives, {2 * count} drives", "/api/v1/drives", _OTHERS))
    return requests


def _compare(
    count: int, requests: list[Request], repetitions: int, change_s: float = 0
) -> Iterator[Comparison]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="backy-bench-")))
        ours = stack.enter_context(served_agent(count, directory / "agent", change_s))
        files = [
            _saved(directory / str(number), ours, request.path)
            for number, request in enumerate(requests)
        ]
        theirs = stack.enter_context(_served("bytes", *map(str, files)))
        for number, request in enumerate(requests):
            yield _measured(request, ours, (theirs, f"/{number}"), repetitions)
        _no_process(ours)


def _measured(
    request: Request, our_port: int, theirs: tuple[int, str], repetitions: int
) -> Comparison:
    ours = (our_port, request.path)
    if _shape(get(*ours, KEY)) != _shape(get(*theirs, KEY)):
        raise RuntimeError(f"{request.what}: the two servers do not send the same bytes")
    for port, path in (ours, theirs):
        requests_per_second(port, path, KEY, _WARM_UP_S)
    rates = [
        (requests_per_second(*ours, KEY, _SECONDS), requests_per_second(*theirs, KEY, _SECONDS))
        for _ in range(repetitions)
    ]
    return Comparison(
        request.what,
        "bare Quart route, same bytes and server",
        "requests/s",
        [rate for rate, _ in rates],
        [rate for _, rate in rates],
        request.goal,
    )


def _shape(body: bytes) -> bytes:
    """The body without what changes from one read to the next: the progress of a resync, which
    makes a pool change, and what the agent writes itself."""
    return _CHANGING.sub(b"", body)


def _saved(file: Path, port: int, path: str) -> Path:
    file.write_bytes(get(port, path, KEY))
    return file


def _no_process(port: int) -> None:
    started = int(get(port, COUNT_PATH, KEY))
    if started:
        raise RuntimeError(f"{started} processes were started while only GETs were served")


@contextmanager
def served_agent(count: int, directory: Path, change_s: float = 0) -> Iterator[int]:
    """The port of an agent with ``count`` pools, of which one changes every ``change_s``.

    The pools are mounted on a filesystem of their own, which nobody else fills.
    """
    directory.mkdir()
    private = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs "$0" && exec "$@"')
    command = ("agent", str(count), str(directory), str(change_s))
    with _served(*command, within=(*private, str(directory))) as port:
        yield port


@contextmanager
def _served(*arguments: str, within: tuple[str, ...] = ()) -> Iterator[int]:
    """The port of a server of its own, ended afterwards."""
    command = [*within, sys.executable, "-m", "tests.bench.servers", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield int(server.stdout.readline())
        finally:
            server.kill()
