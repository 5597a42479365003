"""A creation fails at each step in each way, or is cancelled: nothing stays half-made."""

from __future__ import annotations

import types

import pytest
from backy_mdadm import hooks

from backy_core.sdk import hookimpl
from backy_core.sdk.errors import Cancelled, DriveInUse, UndoFailed
from backy_core.sdk.models import DriveId, PoolSpec
from backy_core.sdk.plan import BackendPlan
from tests.fakes.agent import GUID, Bench
from tests.fakes.interruptions import PROGRAM_FAULTS, How, each_fault
from tests.fakes.model import Content


@each_fault(["mdadm --create", "wipefs --all /dev/md", "mkfs.ext4", "mount -t"], ["mkdir"])
async def test_a_creation_that_fails_leaves_nothing(bench: Bench, words: str, how: How) -> None:
    bench.machine.shines_through = [Content("xfs", "ghost")]
    await bench.start()
    bench.machine.interruptions.fail(words, how)
    view = await bench.create()
    if how is How.HALF and words.startswith(("wipefs", "mount")):
        assert view.state == "ready", "the outcome is there, whatever the program said"
        return
    assert view.state == "failed" and view.error_message
    assert bench.remembered == {}
    bench.assert_nothing_left("A", "B")
    assert await bench.available() == {"A": True, "B": True, "C": True}
    lines, _ = await bench.agent.pools.outputs(GUID)
    assert lines or words == "mkdir"

    bench.machine.interruptions.reset()
    assert (await bench.create()).state == "ready", "the failed record is replaced"


@pytest.mark.parametrize(
    ("how", "words", "final"),
    [
        (How.STATUS, ("does not work",), True),
        (How.VANISHED, (), True),
        (How.STATUS, ("another reason",), False),
    ],
    ids=["final words", "not installed", "other words"],
)
async def test_what_is_refused_for_good_is_not_tried_again(
    bench: Bench, how: How, words: tuple[str, ...], final: bool
) -> None:
    bench.backends = (("mdadm", patient(words)),)
    await bench.start()
    bench.machine.interruptions.fail("mdadm --create", how)
    assert (await bench.create()).state == "failed"
    tries = [command for command in bench.machine.commands if "mdadm --create" in command]
    assert (len(tries) == 1) is final, tries
    bench.assert_nothing_left("A", "B")


def patient(words: tuple[str, ...]) -> object:
    """The mdadm backend, which tries half a minute to create unless it is told ``words``."""

    def create(pool: PoolSpec, drives: tuple[DriveId, ...]) -> BackendPlan:
        plan = hooks.backy_plan_create(pool=pool, drives=drives)
        (step,) = plan.steps
        run = step.run.model_copy(update={"final_words": words})
        patient = step.model_copy(update={"run": run, "retry_s": 30})
        return plan.model_copy(update={"steps": (patient,)})

    module = types.ModuleType("patient")
    vars(module).update({n: h for n, h in vars(hooks).items() if n.startswith("backy_")})
    vars(module)["backy_plan_create"] = hookimpl(create)
    return module


async def test_a_pool_that_stops_after_its_last_step_was_not_made(bench: Bench) -> None:
    """The backend's plan has no goal: that the pool is active in the end is the core's demand."""

    def stop() -> None:
        array = bench.machine.array_of(GUID)
        assert array is not None
        array.running = False

    await bench.start()
    bench.machine.interruptions.when("recorded done mount", stop)
    view = await bench.create()
    assert view.state == "failed" and "goal" in str(view.error_message)
    bench.assert_nothing_left("A", "B")


@pytest.mark.parametrize("how", PROGRAM_FAULTS)
async def test_a_drive_that_cannot_be_wiped_keeps_its_content(bench: Bench, how: How) -> None:
    bench.machine.disks["A"].content = [Content("xfs", "one"), Content("gpt", "two")]
    await bench.start()
    node = f"/dev/{bench.machine.disks['A'].name}"
    bench.machine.interruptions.fail(f"wipefs --all {node}", how)
    state = (await bench.create(wipe=True)).state
    if how is How.HALF:
        assert state == "ready", "trying again finished it"
        return
    assert state == "failed" and bench.machine.disks["A"].content
    bench.machine.disks["A"].content = []
    bench.assert_nothing_left("A", "B")


@pytest.mark.parametrize("how", [How.STATUS, How.VANISHED, How.SILENT, How.BROKEN])
@pytest.mark.parametrize("words", ["mdadm --stop", "wipefs --all /dev/sdx"])
async def test_an_undo_that_fails_sets_the_drives_apart(bench: Bench, words: str, how: How) -> None:
    await bench.start()
    bench.machine.interruptions.fail("mkfs.ext4")
    bench.machine.interruptions.fail(words, how)
    view = await bench.create()
    assert view.state == "failed"
    (op,) = bench.agent.operations.of_pool(GUID)
    assert isinstance(op.error, UndoFailed) and "mkfs.ext4" in str(op.error)
    assert await bench.available() == {"A": False, "B": False, "C": True} or words != "mdadm --stop"
    assert not (await bench.available())["B"]
    reasons = [d.unavailable_because or "" for d in await bench.agent.drives_service.list()]
    assert any("quarantined" in reason for reason in reasons)
    assert len(bench.journal) == 1
    with pytest.raises(DriveInUse, match="quarantined"):
        await bench.agent.pools.create(bench.request("B", "C", guid=GUID.replace("3", "4")))

    # the next start tries again, in vain, and keeps what it knows
    await bench.restart()
    assert await bench.state() == "failed"
    assert not (await bench.available())["B"]
    assert len(bench.journal) == 1

    # and once it works, frees them
    bench.machine.interruptions.reset()
    await bench.restart()
    assert await bench.available() == {"A": True, "B": True, "C": True}
    bench.assert_nothing_left("A", "B")


async def test_deleting_a_failed_pool_tries_its_undo_again(bench: Bench) -> None:
    await bench.start()
    bench.machine.interruptions.fail("mkfs.ext4")
    stuck = bench.machine.interruptions.fail("mdadm --stop")
    assert (await bench.create()).state == "failed"
    error = await bench.delete()
    assert isinstance(error, UndoFailed)
    assert await bench.state() == "failed"
    stuck.times = 0
    assert await bench.delete() is None
    assert await bench.state() == "deleted"
    bench.assert_nothing_left("A", "B")
    assert await bench.available() == {"A": True, "B": True, "C": True}


@pytest.mark.parametrize("at", ["mkdir", "wipefs", "mdadm --create", "mkfs", "mount"])
async def test_a_creation_cancelled_at_any_step_is_undone(bench: Bench, at: str) -> None:
    bench.machine.disks["A"].content = [Content("xfs", "old")]
    await bench.start()
    _, op = await bench.agent.pools.create(bench.request(wipe=True))
    assert op is not None
    loop_cancel = op.cancel_requested.set
    bench.machine.interruptions.when(f"before {at}", loop_cancel)
    error = await bench.ended(op)
    assert isinstance(error, Cancelled)
    assert (op.state, await bench.state()) == ("cancelled", "failed")
    if at == "mkdir":
        assert bench.machine.disks["A"].content, "not yet wiped"
        bench.machine.disks["A"].content = []
    bench.assert_nothing_left("A", "B")


async def test_deleting_a_pool_in_creation_cancels_and_undoes_it(bench: Bench) -> None:
    await bench.start()
    _, op = await bench.agent.pools.create(bench.request())
    assert op is not None and await bench.state() == "creating"
    assert await bench.delete() is None
    assert await bench.state() == "deleted"
    bench.assert_nothing_left("A", "B")
