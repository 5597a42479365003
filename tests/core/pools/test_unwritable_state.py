"""The journal or the metadata cannot be written."""

from __future__ import annotations

import pytest

from backy_core.sdk.errors import SystemFailure
from tests.fakes.agent import GUID, Bench


def _disk_full() -> None:
    raise OSError(28, "No space left on device")


async def test_a_creation_that_cannot_be_committed_is_undone(bench: Bench) -> None:
    await bench.start()
    bench.machine.interruptions.when("torn commit", _disk_full)
    view = await bench.create()
    assert view.state == "failed" and "No space" in str(view.error_message)
    bench.assert_nothing_left("A", "B")


async def test_a_mount_that_cannot_be_committed_goes_back(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    await bench.unmount()
    bench.machine.interruptions.when("torn commit", _disk_full)
    assert await bench.mount() is not None
    assert await bench.state() == "unmounted"
    assert not bench.machine.mounts and not bench.machine.arrays and not bench.journal


def _unwritable() -> None:
    raise SystemFailure("pool-metadata.json could not be written")


async def _made_while_the_metadata_cannot_be_written(bench: Bench) -> None:
    await bench.start()
    bench.machine.interruptions.when("before writing pool-metadata.json", _unwritable)
    assert (await bench.create()).state == "ready"
    assert bench.journal and not bench.remembered
    bench.machine.interruptions.reset()


async def test_a_pool_the_metadata_cannot_take_is_ready_and_written_later(bench: Bench) -> None:
    await _made_while_the_metadata_cannot_be_written(bench)
    await bench.agent.pools.rename(GUID, "renamed", None)
    assert not bench.journal, "the journal's promise is kept"
    await bench.restart()
    assert (await bench.agent.pools.get(GUID)).label == "renamed"
    assert await bench.state() == "ready"


async def test_a_pool_the_metadata_never_took_is_ready_after_a_restart(bench: Bench) -> None:
    await _made_while_the_metadata_cannot_be_written(bench)
    await bench.restart()
    assert await bench.state() == "ready"
    assert bench.remembered and not bench.journal


async def test_a_journal_that_cannot_be_written_any_more_does_not_stop_the_undo(
    bench: Bench,
) -> None:
    await bench.start()

    def full_from_now_on() -> None:
        bench.machine.interruptions.when("torn", _disk_full)

    bench.machine.interruptions.when("before mkfs", full_from_now_on)
    assert (await bench.create()).state == "failed"
    bench.assert_nothing_left("A", "B")


@pytest.mark.parametrize("point", ["torn opened", "recorded opened"])
async def test_a_request_that_the_journal_cannot_take_is_never_carried_out(
    bench: Bench, point: str
) -> None:
    """A deletion goes forward after a restart: one that was refused must not."""
    await bench.start()
    await bench.create()
    bench.machine.interruptions.when(point, _disk_full)
    with pytest.raises(SystemFailure, match="The journal cannot be written") as refused:
        await bench.delete()
    assert "No space" in str(refused.value.details)
    assert not bench.journal
    bench.machine.interruptions.reset()
    await bench.restart()
    assert await bench.state() == "ready" and bench.remembered
