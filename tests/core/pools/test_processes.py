"""Processes that hold a pool: listed, ended, and then what was asked for."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from backy_core.sdk.errors import Conflict, InvalidRequest, PoolBusy
from tests.fakes.agent import GUID, Bench


async def _busy(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    bench.machine.hold(bench.path() + "/a", pid=100)
    bench.machine.hold("/somewhere/else", pid=200)


async def _kill(bench: Bench, pids: Sequence[int], action: str | None = None) -> object:
    return await bench.ended(await bench.agent.pools.kill(GUID, pids, action))


async def test_holders_of_a_pool_are_listed(bench: Bench) -> None:
    await _busy(bench)
    assert [p.pid for p in await bench.agent.pools.processes(GUID)] == [100]


async def test_one_stranger_among_them_and_nobody_is_signalled(bench: Bench) -> None:
    await _busy(bench)
    with pytest.raises(Conflict, match="200"):
        op = await bench.agent.pools.kill(GUID, [100, 200], None)
        await op.wait()
    assert set(bench.machine.processes) == {100, 200}


async def test_a_process_that_is_gone_counts_as_done(bench: Bench) -> None:
    await _busy(bench)
    assert await _kill(bench, [100, 99999]) is None
    assert set(bench.machine.processes) == {200}
    assert await bench.state() == "ready"


@pytest.mark.parametrize(
    ("action", "state"), [("UnmountPool", "unmounted"), ("RemovePoolGroup", "deleted")]
)
async def test_killing_then_does_what_was_asked(bench: Bench, action: str, state: str) -> None:
    await _busy(bench)
    assert await _kill(bench, [100], action) is None
    assert await bench.state() == state


async def test_killing_too_few_fails_with_the_action(bench: Bench) -> None:
    await _busy(bench)
    bench.machine.hold(bench.path() + "/b", pid=101)
    assert isinstance(await _kill(bench, [100], "UnmountPool"), PoolBusy)
    assert await bench.state() == "ready"


async def test_an_unmounted_pool_counts_as_done(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    await bench.unmount()
    assert await _kill(bench, [99999], "UnmountPool") is None
    with pytest.raises(InvalidRequest):
        await bench.agent.pools.kill(GUID, [], "Explode")
