"""Each step of each operation fails in each way; whatever happens, nothing stays half-made."""

from __future__ import annotations

import types

import pytest
from backy_mdadm import hooks

from backy_core.sdk import hookimpl
from backy_core.sdk.errors import Cancelled, DriveInUse, SystemFailure, UndoFailed
from backy_core.sdk.models import DriveId, PoolSpec
from backy_core.sdk.plan import BackendPlan
from tests.fakes.agent import GUID, Bench
from tests.fakes.interruptions import How
from tests.fakes.model import Content

_PROGRAM = [How.STATUS, How.HALF, How.VANISHED, How.SILENT, How.BROKEN]
_CALL = [How.STATUS, How.SILENT, How.BROKEN]


def _cases(programs: list[str], calls: list[str]) -> list[tuple[str, How]]:
    return [
        *((words, how) for words in programs for how in _PROGRAM),
        *((words, how) for words in calls for how in _CALL),
    ]


def _named(cases: list[tuple[str, How]]) -> dict[str, object]:
    return {
        "argvalues": cases,
        "ids": [
            f"{words.strip().replace(' ', '_').replace('/', '')}-{how.name}" for words, how in cases
        ],
    }


_CREATE = _cases(["mdadm --create", "wipefs --all /dev/md", "mkfs.ext4", "mount -t"], ["mkdir"])


@pytest.mark.parametrize(("words", "how"), **_named(_CREATE))  # type: ignore[arg-type]
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
    tries = [each for each in bench.machine.commands if "mdadm --create" in each]
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
    assert view.state == "failed" and "goal" in (view.error_message or "")
    bench.assert_nothing_left("A", "B")


@pytest.mark.parametrize("how", _PROGRAM)
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
    assert isinstance(op.error, UndoFailed) and "mkfs.ext4" in op.error.cause
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


_MOUNT = _cases(["mdadm --assemble", "mount -t"], ["mkdir"])


@pytest.mark.parametrize(("words", "how"), **_named(_MOUNT))  # type: ignore[arg-type]
async def test_a_mount_that_fails_goes_back(bench: Bench, words: str, how: How) -> None:
    await bench.start()
    await bench.create()
    await bench.unmount()
    before = bench.remembered
    bench.machine.interruptions.fail(words, how)
    error = await bench.mount(path=str(bench.mounts / "elsewhere"))
    if how is How.HALF and words.startswith("mount"):
        assert error is None, "the outcome is there, whatever the program said"
        return
    assert error is not None
    assert await bench.state() == "unmounted"
    assert not bench.machine.arrays and not bench.machine.mounts and not bench.journal
    assert bench.remembered == before
    assert bench.directories == [GUID]
    bench.machine.interruptions.reset()
    assert await bench.mount() is None


_UNMOUNT = _cases(["umount", "mdadm --stop"], [])


@pytest.mark.parametrize(("words", "how"), **_named(_UNMOUNT))  # type: ignore[arg-type]
async def test_an_unmount_that_fails_says_where_it_stands(
    bench: Bench, words: str, how: How
) -> None:
    await bench.start()
    await bench.create()
    bench.machine.interruptions.fail(words, how)
    error = await bench.unmount()
    if how is How.HALF:
        assert error is None, "the outcome is there, whatever the program said"
        assert await bench.state() == "unmounted" and not bench.machine.arrays
        return
    assert error is not None
    assert bench.machine.mounts, "still mounted, or mounted again"
    assert await bench.state() == "ready" and bench.remembered[GUID].is_mounted
    assert not bench.journal and not bench.agent.operations.claims.claimed_drives()
    bench.machine.interruptions.reset()
    assert await bench.unmount() is None
    assert not bench.machine.arrays


_DELETE = _cases(["umount", "wipefs --all /dev/md", "mdadm --stop", "wipefs --all /dev/sdx"], [])


@pytest.mark.parametrize("again", ["delete", "restart"])
@pytest.mark.parametrize(("words", "how"), **_named(_DELETE))  # type: ignore[arg-type]
async def test_a_delete_that_fails_can_be_finished(
    bench: Bench, words: str, how: How, again: str
) -> None:
    await bench.start()
    await bench.create()
    bench.machine.interruptions.fail(words, how)
    error = await bench.delete()
    if how is How.HALF:
        assert error is None, "the outcome is there, whatever the program said"
        bench.assert_nothing_left("A", "B")
        return
    assert GUID in bench.remembered, "forgotten last"
    assert not (await bench.available())["A"]
    bench.machine.interruptions.reset()
    if words == "umount":
        assert await bench.state() == "ready", "nothing was destroyed: the pool is as it was"
        assert not bench.journal
        return
    assert await bench.state() == "unmounted"
    if again == "restart":
        await bench.restart()
    else:
        assert await bench.delete() is None
    assert await bench.state() == "deleted"
    bench.assert_nothing_left("A", "B")
    assert bench.remembered == {}


async def test_a_half_deleted_pool_is_not_mounted_and_its_deletion_not_resumed_behind_ones_back(
    bench: Bench,
) -> None:
    """Otherwise it would be wiped, in use, when the next drive is plugged in."""
    await bench.start()
    await bench.create()
    bench.machine.interruptions.fail("mdadm --stop")
    assert await bench.delete() is not None
    bench.machine.interruptions.reset()
    with pytest.raises(Exception, match="Deleting"):
        await bench.agent.pools.mount(GUID, None)


async def _degraded(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    bench.machine.unplug("B")
    await bench.agent.observer.refresh()
    assert (await bench.agent.pools.get(GUID)).pool_status == "degraded"


@pytest.mark.parametrize("how", _PROGRAM)
async def test_an_addition_that_fails_leaves_the_drive_and_the_pool_alone(
    bench: Bench, how: How
) -> None:
    await _degraded(bench)
    before = bench.remembered
    bench.machine.interruptions.fail("--add", how)
    error = await bench.add_drive("C")
    assert not bench.journal and not bench.agent.operations.claims.claimed_drives()
    assert await bench.state() == "ready"
    if how is How.HALF:
        assert error is None and set(bench.remembered[GUID].drive_serials) == {"A", "C"}
        return
    assert error is not None
    assert bench.remembered == before
    assert bench.machine.clean("C") and (await bench.available())["C"]


async def test_a_drive_that_only_became_a_spare_has_replaced_nobody(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    before = bench.remembered
    bench.machine.interruptions.fail("--replace", How.STATUS, times=100)
    for _ in range(2):
        assert await bench.add_drive("C", replaces="B") is not None
        assert bench.remembered == before, "B still holds the data"
    assert not bench.journal and await bench.state() == "ready"


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


def _disk_full() -> None:
    raise OSError(28, "No space left on device")


async def test_a_creation_that_cannot_be_committed_is_undone(bench: Bench) -> None:
    await bench.start()
    bench.machine.interruptions.when("torn commit", _disk_full)
    view = await bench.create()
    assert view.state == "failed" and "No space" in (view.error_message or "")
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


async def test_a_deletion_without_any_drive_says_what_it_could_not_wipe(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    await bench.unmount()
    bench.machine.unplug("A")
    bench.machine.unplug("B")
    assert await bench.delete() is None
    (op,) = [op for op in bench.agent.operations.of_pool(GUID) if op.kind == "delete"]
    assert "A, B" in (op.message or "")
    bench.machine.plug("A")
    bench.machine.plug("B")
    await bench.agent.observer.refresh()
    assert await bench.available() == {"A": False, "B": False, "C": True}
    assert await bench.agent.pools.importable() == ()
