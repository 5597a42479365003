"""How many GETs a second the agent answers, against a bare route that sends the same bytes."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench.figures import Comparison, Goal
from tests.bench.load import get, requests_per_second
from tests.bench.many_pools import KEY, guids
from tests.bench.servers import COUNT_PATH

COUNTS = (10, 100, 1000)
_SECONDS = 0.3
_WARM_UP_S = 0.3
_SIZES = re.compile(rb'"(used|available|usePercent)":[^,]+,')
_GOALS = {10: Goal(at_least=0.8)}


def compare(repetitions: int) -> list[Comparison]:
    return [row for count in COUNTS for row in _compare(count, repetitions)]


def _compare(count: int, repetitions: int) -> Iterator[Comparison]:
    paths = {
        f"GET detail, {count} pools": f"/api/v1/pools/{guids(count)[count // 2]}",
        f"GET list, {count} pools": "/api/v1/pools",
    }
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="backy-bench-")))
        ours = stack.enter_context(_served("agent", str(count), str(directory / "agent")))
        files = [_saved(directory / str(i), ours, path) for i, path in enumerate(paths.values())]
        theirs = stack.enter_context(_served("bytes", *map(str, files)))
        for number, (what, path) in enumerate(paths.items()):
            yield _measured(what, (ours, path), (theirs, f"/{number}"), count, repetitions)
        _no_process(ours)


def _measured(
    what: str, ours: tuple[int, str], theirs: tuple[int, str], count: int, repetitions: int
) -> Comparison:
    if _shape(get(*ours, KEY)) != _shape(get(*theirs, KEY)):
        raise RuntimeError(f"{what}: the two servers do not send the same bytes")
    for port, path in (ours, theirs):
        requests_per_second(port, path, KEY, _WARM_UP_S)
    rates = [
        (requests_per_second(*ours, KEY, _SECONDS), requests_per_second(*theirs, KEY, _SECONDS))
        for _ in range(repetitions)
    ]
    return Comparison(
        what,
        "bare Quart route, same bytes",
        "requests/s",
        [rate for rate, _ in rates],
        [rate for _, rate in rates],
        _GOALS.get(count, Goal()),
    )


def _shape(body: bytes) -> bytes:
    """The body without sizes, which the machine's other work changes from one read to the next."""
    return _SIZES.sub(b"", body)


def _saved(file: Path, port: int, path: str) -> Path:
    file.write_bytes(get(port, path, KEY))
    return file


def _no_process(port: int) -> None:
    started = int(get(port, COUNT_PATH, KEY))
    if started:
        raise RuntimeError(f"{started} processes were started while only GETs were served")


@contextmanager
def _served(*arguments: str) -> Iterator[int]:
    """The port of a server of its own, ended afterwards."""
    command = [sys.executable, "-m", "tests.bench.servers", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield int(server.stdout.readline())
        finally:
            server.kill()
