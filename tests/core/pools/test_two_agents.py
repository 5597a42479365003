"""Two agents in one process: each has the machine that it was handed, and nothing besides."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.fakes.agent import Bench

_OTHER = "11111111-2222-4333-8444-555555555555"


async def test_each_makes_its_pool_on_its_own_machine(tmp_path: Path) -> None:
    benches = [_bench(tmp_path / "one"), _bench(tmp_path / "two")]
    await asyncio.gather(*(bench.start() for bench in benches))
    one, two = benches
    first, second = await asyncio.gather(one.create("A", "B"), two.create("A", "B", guid=_OTHER))
    assert [first.state.value, second.state.value] == ["ready", "ready"]
    for bench, guid in zip(benches, (first.guid, second.guid), strict=True):
        assert set(bench.remembered) == {guid}
        assert [array.uuid for array in bench.machine.arrays.values()] == [guid]
        assert [mount.path for mount in bench.machine.mounts] == [bench.path(guid)]
    assert await one.delete(first.guid) is None
    one.assert_nothing_left("A", "B")
    assert await two.state(_OTHER) == "ready", "the other agent's pool went with it"
    await asyncio.gather(*(bench.stop() for bench in benches))
    assert not one.machine.refused and not two.machine.refused


def _bench(directory: Path) -> Bench:
    directory.mkdir()
    bench = Bench(directory)
    for serial in ("A", "B"):
        bench.machine.add(serial)
    return bench
