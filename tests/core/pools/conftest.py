"""A bench with drives for each test; a command the machine does not know fails the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.agent import Bench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A machine with the blank drives A, B and C; no agent runs yet."""
    bench = Bench(tmp_path)
    for serial in ("A", "B", "C"):
        bench.machine.add(serial)
    yield bench
    if hasattr(bench, "agent"):
        bench.machine.interruptions.reset()
        await bench.stop()
    assert not bench.machine.refused
