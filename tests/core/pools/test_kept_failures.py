"""How long a failed operation and its output are kept."""

from __future__ import annotations

import pytest

from backy_core.sdk.errors import NotFound
from tests.fakes.agent import GUID, OTHER, Bench


async def test_reading_a_failures_outputs_changes_nothing_but_starts_its_grace(
    bench: Bench,
) -> None:
    await bench.start(failed_output_grace_s=0)
    bench.machine.interruptions.fail("mkfs")
    await bench.create()
    first = await bench.agent.pools.outputs(GUID)
    assert await bench.agent.pools.outputs(GUID) == first
    assert await bench.state() == "failed"
    bench.agent.operations.prune()
    with pytest.raises(NotFound):
        await bench.agent.pools.outputs(GUID)


async def test_an_unread_failure_outlives_other_jobs(bench: Bench) -> None:
    await bench.start(max_operations=1, success_retention_s=0)
    bench.machine.interruptions.fail("mkfs", times=1)
    await bench.create()
    await bench.create("C", guid=OTHER)
    await bench.unmount(OTHER)
    assert await bench.state() == "failed"
    assert (await bench.agent.pools.outputs(GUID))[0]
