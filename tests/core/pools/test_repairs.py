"""A finding is repaired by the plan that was shown, and nothing else is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from backy_core.operations.claims import Claim
from backy_core.pools.views import PlannedStep
from backy_core.sdk.errors import BackyError, Conflict, DriveInUse, InvalidRequest, NotFound
from backy_core.system import runtime_files
from tests.fakes.agent import GUID, Bench
from tests.fakes.model import Content, Mounted


async def plan(bench: Bench, check: str, subject: str) -> tuple[PlannedStep, ...]:
    return await bench.agent.doctor.plan_repair(check, subject)


async def repair(
    bench: Bench, check: str, subject: str, confirm: str | None = None
) -> BackyError | None:
    """Run it; what was run is what the plan says."""
    shown = await plan(bench, check, subject)
    op = await bench.agent.doctor.repair(check, subject, confirm)
    error = await bench.ended(op)
    if error is None:
        commands = [line for line in op.outputs.lines if line.startswith("$ ")]
        assert commands == [f"$ {step.command}" for step in shown]
        assert (op.kind, op.progress.percent) == ("repair", 100)
    return error


async def findings(bench: Bench, check: str) -> list[str]:
    return [one.finding.subject for one in await bench.agent.doctor.examine() if one.check == check]


@pytest.fixture
async def forgotten(bench: Bench) -> Bench:
    """A running pool of A and B that is not mounted and that no agent knows."""
    bench.stopped_pool()
    bench.machine.assemble_all()
    await bench.start()
    return bench


async def test_an_unknown_pool_is_stopped(forgotten: Bench) -> None:
    [step] = await plan(forgotten, "unowned-pools", GUID)
    assert step.command.startswith("mdadm --stop") and forgotten.machine.arrays
    assert await repair(forgotten, "unowned-pools", GUID) is None
    assert not forgotten.machine.arrays
    assert forgotten.machine.disks["A"].superblock, "its data stays"
    with pytest.raises(Conflict, match="by itself"):
        await repair(forgotten, "unowned-pools", GUID)


async def test_an_unknown_pool_that_is_mounted_is_not_stopped(forgotten: Bench) -> None:
    [report] = forgotten.agent.observer.snapshot.reports["mdadm"]
    path = str(forgotten.mounts / "x")
    forgotten.machine.mounts.append(Mounted(str(report.device), path, "ext4"))
    await forgotten.agent.observer.refresh()
    with pytest.raises(Conflict) as refused:
        await repair(forgotten, "unowned-pools", GUID)
    assert f"umount {path}" in str(refused.value.hint)
    assert forgotten.machine.arrays
    forgotten.machine.hold(path)
    with pytest.raises(Conflict, match="in use"):
        await repair(forgotten, "unowned-mounts", path)
    forgotten.machine.processes.clear()
    assert await repair(forgotten, "unowned-mounts", path) is None
    assert await repair(forgotten, "unowned-pools", GUID) is None


async def test_a_known_pool_is_no_finding(bench: Bench) -> None:
    await bench.start()
    await bench.create()
    for check in ("unowned-pools", "unowned-mounts"):
        with pytest.raises(NotFound):
            await repair(bench, check, GUID)


async def test_an_empty_directory_is_removed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await bench.start()
    await bench.create()
    for name in ("empty", "full"):
        (bench.mounts / name).mkdir()
    (bench.mounts / "full" / "letter").touch()
    kernel = type(bench.agent._core.machine.kernel)
    names = sorted(path.name for path in bench.mounts.iterdir())
    monkeypatch.setattr(kernel, "names_in", lambda kernel, path: names)
    assert await findings(bench, "unowned-directories") == [str(bench.mounts / "empty")]
    assert await repair(bench, "unowned-directories", str(bench.mounts / "empty")) is None
    assert sorted(path.name for path in bench.mounts.iterdir()) == sorted({*names} - {"empty"})


async def test_a_leftover_is_removed_alone(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, proc = tmp_path / "mdadm", tmp_path / "proc"
    run.mkdir()
    for name in ("creating-md126", "creating-md127"):
        (run / name).touch()
    await bench.start()
    kernel = type(bench.agent._core.machine.kernel)
    monkeypatch.setattr(kernel, "find_stale", lambda kernel: runtime_files.find_stale(run, proc))
    monkeypatch.setattr(
        kernel, "remove_stale", lambda kernel, only: runtime_files.remove_stale(only, run, proc)
    )
    assert await repair(bench, "leftovers", str(run / "creating-md126")) is None
    assert [path.name for path in run.iterdir()] == ["creating-md127"]


async def test_a_quarantined_drive_is_freed_once_it_is_blank(bench: Bench) -> None:
    """One test, because a roll-back that fails takes long: its members could not be wiped."""
    await bench.start()
    bench.machine.interruptions.fail("mkfs.ext4")
    bench.machine.interruptions.fail("wipefs --all /dev/sd")
    assert (await bench.create()).state == "failed"
    bench.machine.interruptions.reset()
    assert await findings(bench, "quarantined") == ["A", "B"]
    first, second = bench.machine.disks["A"], bench.machine.disks["B"]

    wiping, freeing = await plan(bench, "quarantined", "A")
    assert wiping.effect == "destroys" and freeing.effect == "none"
    assert f"drive A (unknown model, {first.size} bytes)" in wiping.title
    assert "linux_raid_member" in wiping.title
    await _refuse_unless_asked_for_properly(bench)
    assert not bench.machine.clean("A")
    assert await repair(bench, "quarantined", "A", "A") is None
    assert bench.machine.clean("A") and (await bench.available())["A"]
    assert await findings(bench, "quarantined") == ["B"]

    second.superblock, second.content = None, [Content("xfs", "u-1", "photos")]
    wiping, _ = await plan(bench, "quarantined", "B")
    assert "xfs (photos)" in wiping.title
    second.content = []
    [freeing] = await plan(bench, "quarantined", "B")
    assert freeing.effect == "none"
    assert await repair(bench, "quarantined", "B") is None
    assert await bench.available() == {"A": True, "B": True, "C": True}
    await bench.restart()
    bench.assert_nothing_left("A", "B")


async def _refuse_unless_asked_for_properly(bench: Bench) -> None:
    with pytest.raises(InvalidRequest, match="drive A"):
        await repair(bench, "quarantined", "A")
    with pytest.raises(Conflict):
        await repair(bench, "quarantined", "A", "another")
    await bench.agent.drives_service.protect("A")
    with pytest.raises(BackyError, match="protected"):
        await repair(bench, "quarantined", "A", "A")
    await bench.agent.drives_service.unprotect("A")
    claims = bench.agent.operations.claims
    claims.take("another", [Claim("drive", "A")])
    with pytest.raises(DriveInUse, match="running operation"):
        await repair(bench, "quarantined", "A", "A")
    claims.release("another")


async def test_a_damaged_journal_is_set_aside(bench: Bench) -> None:
    await bench.start()
    interruptions = bench.machine.interruptions

    def crash_here() -> None:
        interruptions.crash_at = len(interruptions.reached) - 1

    interruptions.when("before mkfs", crash_here)
    assert await bench.until_crash(bench.create())
    [name] = bench.journal
    file = bench.settings.journal_dir / name
    file.write_bytes(file.read_bytes() + b"rubbish\n")
    bench.machine.interruptions.reset()
    await bench.start()
    assert await findings(bench, "quarantined") == ["A", "B"]
    with pytest.raises(Conflict, match="by itself"):
        await repair(bench, "quarantined", "A", "A")
    [step] = await plan(bench, "journal", str(file))
    assert "drives A, B" in step.title
    damaged = file.read_bytes()
    assert await repair(bench, "journal", str(file)) is None
    assert bench.journal == [f"{name}.set-aside"]
    assert (bench.settings.journal_dir / f"{name}.set-aside").read_bytes() == damaged
    assert await findings(bench, "quarantined") == []
    await bench.restart()
    assert await findings(bench, "journal") == []
    (bench.settings.journal_dir / f"{name}.set-aside").unlink()
