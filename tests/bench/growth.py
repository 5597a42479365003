"""How much more memory an agent holds for each pool, once everything has been asked for."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.bench.figures import Amount
from tests.bench.load import get
from tests.bench.many_pools import KEY, guids
from tests.bench.reads import served_agent
from tests.bench.servers import RESIDENT_PATH

_FEW, _MANY = 10, 1000
_AT_MOST_KIB = 20


def measure(repetitions: int) -> list[Amount]:
    growth = [(_resident(_MANY) - _resident(_FEW)) / (_MANY - _FEW) for _ in range(repetitions)]
    return [Amount("Memory for each further pool", "KiB", growth, _AT_MOST_KIB)]


def _resident(count: int) -> int:
    with (
        tempfile.TemporaryDirectory(prefix="backy-bench-") as directory,
        served_agent(count, Path(directory) / "agent") as port,
    ):
        for path in ("/pools", "/drives", *(f"/pools/{guid}" for guid in guids(count))):
            get(port, f"/api/v1{path}", KEY)
        return int(get(port, RESIDENT_PATH, KEY))
