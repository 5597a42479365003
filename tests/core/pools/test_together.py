"""Several callers at once: one wins, the same question gets the same answer."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable

import pytest

from backy_core.operations.records import Operation
from backy_core.pools.lifecycle.create import ROLLED_BACK
from backy_core.sdk.errors import Conflict, DriveInUse, ShuttingDown
from tests.fakes.agent import GUID, OTHER, Bench


async def test_of_two_creations_for_one_drive_one_wins(bench: Bench) -> None:
    await bench.start()
    answers = await asyncio.gather(
        bench.agent.pools.create(bench.request("A", "B")),
        bench.agent.pools.create(bench.request("B", "C", guid=OTHER)),
        return_exceptions=True,
    )
    lost = [answer for answer in answers if isinstance(answer, BaseException)]
    assert len(lost) == 1 and isinstance(lost[0], DriveInUse)
    await bench.settled()
    assert [view.state for view in await bench.agent.pools.list()] == ["ready"]
    assert bench.machine.clean("C")


async def test_of_two_creations_for_one_path_one_wins(bench: Bench) -> None:
    await bench.start()
    path = bench.path()
    answers = await asyncio.gather(
        bench.agent.pools.create(bench.request("A", mount_path=path)),
        bench.agent.pools.create(bench.request("B", guid=OTHER, mount_path=path)),
        return_exceptions=True,
    )
    lost = [answer for answer in answers if isinstance(answer, BaseException)]
    assert len(lost) == 1 and isinstance(lost[0], Conflict)


async def test_the_same_request_twice_is_one_job(bench: Bench) -> None:
    await bench.start()
    (guid, first), (again, second) = await asyncio.gather(
        bench.agent.pools.create(bench.request("A", "B")),
        bench.agent.pools.create(bench.request("B", "A")),
    )
    assert guid == again == GUID and first is second
    await bench.settled()
    assert sum("--create" in command for command in bench.machine.commands) == 1
    assert await bench.agent.pools.create(bench.request()) == (GUID, None)


async def test_another_request_for_the_same_pool_is_a_conflict(bench: Bench) -> None:
    await bench.start()
    await bench.agent.pools.create(bench.request())
    for _ in ("while it runs", "when it stands"):
        with pytest.raises(Conflict):
            await bench.agent.pools.create(bench.request(label="another"))
        with pytest.raises(Conflict):
            await bench.agent.pools.create(bench.request("A"))
        await bench.settled()
    assert await bench.state() == "ready"


async def test_a_client_that_goes_away_stops_nothing(bench: Bench) -> None:
    await bench.start()
    client = asyncio.create_task(bench.create())
    while not bench.machine.commands:
        await asyncio.sleep(0.001)
    client.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client
    await bench.settled()
    assert await bench.state() == "ready"


async def test_a_client_that_goes_away_during_admission_stops_nothing(bench: Bench) -> None:
    await bench.start()
    client = asyncio.create_task(bench.agent.pools.create(bench.request()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    client.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client
    again, _ = await bench.agent.pools.create(bench.request())
    await bench.settled()
    assert again == GUID and await bench.state() == "ready"


@pytest.mark.parametrize("call", ["mount", "unmount", "delete"])
async def test_repeats_of_a_running_call_join_it(bench: Bench, call: str) -> None:
    await bench.start()
    await bench.create()
    if call == "mount":
        await bench.unmount()
    pools = bench.agent.pools
    calls = {"mount": pools.mount, "unmount": pools.unmount, "delete": pools.delete}
    work: Callable[[], Awaitable[Operation]] = functools.partial(calls[call], GUID)
    first, second, third = await asyncio.gather(work(), work(), work())
    assert first is second is third
    assert await bench.ended(first) is None


async def test_another_call_on_a_busy_pool_is_a_conflict_and_does_nothing(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    op = await bench.agent.pools.unmount(GUID)
    assert op.running
    for call in (
        bench.agent.pools.mount(GUID, None),
        bench.agent.pools.delete(GUID),
        bench.agent.pools.rename(GUID, "new", None),
        bench.agent.pools.forget(GUID),
        bench.agent.pools.add_drive(GUID, serial="C", dev_path=None, replaces=None, wipe=False),
    ):
        with pytest.raises(Conflict):
            await call
    assert await bench.ended(op) is None
    assert await bench.state() == "unmounted"


@pytest.mark.parametrize("call", ["rename", "forget", "forget all"])
async def test_no_operation_begins_while_what_is_remembered_is_written(
    bench: Bench, call: str
) -> None:
    """It would write what it knew of the pool before that over it at its end."""
    await bench.start()
    await bench.create()
    await bench.unmount()
    pools = bench.agent.pools
    calls = {
        "rename": lambda: pools.rename(GUID, "new", None),
        "forget": lambda: pools.forget(GUID),
        "forget all": pools.forget_all,
    }
    changing = [asyncio.create_task(calls[each]()) for each in (call, "rename", call)]
    await asyncio.sleep(0)
    assert not changing[0].done()
    with pytest.raises(Conflict):
        await pools.mount(GUID, None)
    await asyncio.gather(*changing, return_exceptions=True)
    if call == "rename":
        assert await bench.mount() is None and bench.remembered[GUID].label == "new"
    else:
        assert GUID not in bench.remembered


async def test_while_a_change_runs_the_pool_keeps_its_earlier_state(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    seen: list[str | None] = []
    bench.machine.interruptions.when("", lambda: seen.append(bench.agent.pools.viewer.state(GUID)))
    await bench.unmount()
    assert set(seen) == {"ready"} and await bench.state() == "unmounted"
    seen.clear()
    await bench.mount()
    assert set(seen) == {"unmounted"} and await bench.state() == "ready"


async def test_an_agent_that_stops_lets_work_end_and_takes_no_more(bench: Bench) -> None:
    await bench.start()
    _, op = await bench.agent.pools.create(bench.request())
    stopping = asyncio.create_task(bench.agent.stop())
    await asyncio.sleep(0)
    with pytest.raises(ShuttingDown):
        await bench.agent.pools.create(bench.request("C", guid=OTHER))
    await stopping
    assert op is not None and op.state == "succeeded"


async def test_a_refused_creation_never_was(bench: Bench) -> None:
    await bench.start()
    bench.machine.hold("/elsewhere")
    with pytest.raises(Exception, match="no drive D"):
        await bench.agent.pools.create(bench.request("A", "D"))
    assert bench.agent.operations.all() == () and not bench.journal
    assert bench.agent.operations.claims.claimed_drives() == frozenset()


async def test_outputs_are_live_and_resume_at_an_offset(bench: Bench) -> None:
    await bench.start()
    _, op = await bench.agent.pools.create(bench.request())
    assert op is not None
    seen: list[str] = []
    offset = 0
    while op.running:
        lines, offset = await bench.agent.pools.outputs(GUID, offset)
        seen += lines
        await asyncio.sleep(0)
    lines, _ = await bench.agent.pools.outputs(GUID, offset)
    whole, _ = await bench.agent.pools.outputs(GUID)
    assert (*seen, *lines) == whole
    assert any(line.startswith("$ mdadm --create") for line in whole)


async def test_progress_only_goes_forward(bench: Bench) -> None:
    await bench.start()
    _, op = await bench.agent.pools.create(bench.request())
    assert op is not None
    percents = []
    while op.running:
        percents.append(op.progress.percent)
        await asyncio.sleep(0)
    assert percents == sorted(percents) and max(percents) < 100
    assert op.progress.percent == 100 and op.progress.step == op.progress.steps


async def _creating_slowly(bench: Bench, grace_s: float = 0.1) -> asyncio.Event:
    """A creation that is in the middle of mkfs; it goes on when the event is set."""
    await bench.start(shutdown_grace_s=grace_s)
    gate = bench.fakes.gates["mkfs"] = asyncio.Event()
    await bench.agent.pools.create(bench.request())
    async with asyncio.timeout(10):
        while not any("mkfs" in command for command in bench.machine.commands):
            await asyncio.sleep(0.001)
    return gate


async def test_a_creation_that_a_shutdown_broke_off_still_answers_afterwards(bench: Bench) -> None:
    """To the client that polls it, 404 would mean: wait, for ever."""
    await _creating_slowly(bench, grace_s=3)  # the second half of it is for the undo
    await bench.stop()
    assert bench.machine.clean("A", "B")
    await bench.start()
    view = await bench.agent.pools.get(GUID)
    assert (view.state, view.error_message) == ("failed", ROLLED_BACK)
    bench.assert_nothing_left("A", "B")


async def test_reads_do_not_wait_for_what_runs(bench: Bench) -> None:
    gate = await _creating_slowly(bench)
    async with asyncio.timeout(1):
        view = await bench.agent.pools.get(GUID)
        (listed,) = await bench.agent.pools.list()
    assert view.state == listed.state == "creating"
    assert [(d.serial, d.is_connected) for d in listed.drives] == [("A", True), ("B", True)]
    assert await bench.available() == {"A": False, "B": False, "C": True}
    gate.set()
    await bench.settled()
    assert await bench.state() == "ready"


async def test_formatting_is_ended_at_once_when_it_is_cancelled(bench: Bench) -> None:
    await _creating_slowly(bench)
    (op,) = bench.agent.operations.of_pool(GUID)
    bench.agent.operations.cancel(op.id)
    await bench.ended(op)
    assert op.state == "cancelled"
    bench.assert_nothing_left("A", "B")
