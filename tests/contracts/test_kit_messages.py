"""The kit's messages about a wrong backend: which one, in which hook, and what to do."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import backy_zfs.hooks
import pytest
from backy_mdadm import hooks

from backy_core.operations.journal import Done
from backy_core.sdk import hookimpl
from backy_core.sdk.errors import BackyError
from backy_core.sdk.models import (
    BackendInfo,
    DriveId,
    Level,
    PoolReport,
    PoolSpec,
    Probe,
    SignatureMatch,
    Tool,
)
from backy_core.sdk.plan import BackendPlan, Exec, Step, Unmount
from backy_core.sdk.scope import Scope
from backy_core.testing import PlanContract, specs, tap
from backy_core.testing.agent import OUTPUTS
from backy_core.testing.fork import Killed, in_a_process
from backy_core.testing.machine import check_clean
from backy_core.testing.programs import TappedPrograms

HOOKS = {name: hook for name, hook in vars(hooks).items() if name.startswith("backy_")}


def contract(redundant: object = ("raid1", 2), **changed: Callable[..., Any]) -> PlanContract:
    """The contract for the mdadm backend with some of its hooks exchanged."""
    module = types.ModuleType("wrong")
    vars(module).update(HOOKS)
    vars(module).update({name: hookimpl(function) for name, function in changed.items()})
    kind = type("TestWrong", (PlanContract,), {"backend": module, "redundant": redundant})
    made: PlanContract = kind()
    return made


def said(check: Callable[..., object], *args: object) -> str:
    """The words with which a check fails."""
    with pytest.raises((AssertionError, BackyError)) as caught:
        check(*args)
    return f"{caught.value} {getattr(caught.value, 'hint', '')}"


def with_info(**changes: object) -> PlanContract:
    def info() -> BackendInfo:
        return hooks.backy_backend().model_copy(update=changes)

    return contract(backy_backend=info)


def with_creation(**changes: object) -> PlanContract:
    """Its first step is changed, and the plan's stamps."""

    def create(pool: PoolSpec, drives: tuple[DriveId, ...]) -> BackendPlan:
        plan = hooks.backy_plan_create(pool=pool, drives=drives)
        step = {name: value for name, value in changes.items() if name != "stamps"}
        steps = (plan.steps[0].model_copy(update=step), *plan.steps[1:])
        stamps = changes.get("stamps", plan.stamps)
        return plan.model_copy(update={"steps": steps, "stamps": stamps})

    return contract(backy_plan_create=create)


def creation_of(wrong: PlanContract) -> str:
    return said(wrong.test_creating_at_every_level, wrong.info().levels[0])


def looking(answer: object) -> str:
    async def inspect(probe: Probe, only: Scope | None) -> object:
        return answer

    return said(contract(backy_inspect=inspect).test_inspect_survives_nonsense)


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        (None, "TestLazy.backend is not set: name the module or object with the hooks"),
        (PlanContract, "TestLazy.backend is a class: name an object of it"),
        ("backy_mdadm", "is 'backy_mdadm', which has no backy_backend: name the module"),
        (
            types.SimpleNamespace(backy_backend=dict),
            "TestLazy.backend: backy_backend answered dict: let it answer BackendInfo",
        ),
    ],
    ids=["none", "class", "name", "answer"],
)
def test_no_backend(backend: object, words: str) -> None:
    lazy: PlanContract = type("TestLazy", (PlanContract,), {"backend": backend})()
    assert words in said(lazy.test_it_loads_and_says_what_it_is)


def test_no_backend_is_told_when_tests_are_collected(tmp_path: Path) -> None:
    (tmp_path / "test_lazy.py").write_text(
        "from backy_core.testing import PlanContract\n\nclass TestLazy(PlanContract):\n    pass\n"
    )
    options = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "TestLazy.backend is not set" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    ("stamps", "words"),
    [
        ((), "has no stamps"),
        ((SignatureMatch(type="linux_raid_member"),), "neither uuid nor label"),
        (
            (SignatureMatch(type="linux_raid_member", label="backy"),),
            "label 'backy' is the same for every pool",
        ),
        ((SignatureMatch(type="ext4", uuid=specs.GUID),), "type ext4, which mdadm did not declare"),
    ],
    ids=["none", "bare", "constant", "undeclared"],
)
def test_a_stamp_without_identity(stamps: tuple[SignatureMatch, ...], words: str) -> None:
    told = creation_of(with_creation(stamps=stamps, undo=(), undo_expect=(), effect="none"))
    assert "backend mdadm (backy_plan_create) breaks a rule" in told
    assert words in told
    assert "PoolSpec.identity" in told or "signature_types" in told


def test_no_expect() -> None:
    told = creation_of(with_creation(expect=()))
    assert "mdadm: backy_plan_create has no `expect` in its step create-array" in told
    assert "say what must be true afterwards" in told


def test_a_release_that_promises_nothing() -> None:
    def close(pool: PoolSpec, report: PoolReport) -> BackendPlan:
        plan = hooks.backy_plan_close(pool=pool, report=report)
        steps = tuple(step.model_copy(update={"expect": ()}) for step in plan.steps)
        return plan.model_copy(update={"steps": steps, "goal": ()})

    wrong = contract(backy_plan_close=close)
    told = said(wrong.test_closing_and_tearing_down, wrong.info().levels[0])
    assert "mdadm: backy_plan_close says neither in `goal` nor in any `expect`" in told


def test_a_filesystem_may_be_released_without_a_step() -> None:
    def close(pool: PoolSpec, report: PoolReport) -> BackendPlan:
        plan: BackendPlan = backy_zfs.hooks.backy_plan_close(pool=pool, report=report)
        return plan.model_copy(update={"steps": ()})

    module = types.ModuleType("unheld")
    vars(module).update({n: h for n, h in vars(backy_zfs.hooks).items() if n.startswith("backy_")})
    vars(module)["backy_plan_close"] = hookimpl(close)
    unheld: PlanContract = type("TestUnheld", (PlanContract,), {"backend": module})()
    unheld.test_closing_and_tearing_down(unheld.info().levels[0])

    def stop(pool: PoolSpec, report: PoolReport) -> BackendPlan:
        plan = hooks.backy_plan_close(pool=pool, report=report)
        return plan.model_copy(update={"steps": ()})

    held = contract(backy_plan_close=stop)
    told = said(held.test_closing_and_tearing_down, held.info().levels[0])
    assert "mdadm: backy_plan_close releases a running pool without any step" in told


def test_a_synchronous_inspect() -> None:
    told = said(contract(backy_inspect=lambda probe: ()).test_it_loads_and_says_what_it_is)
    assert "backend mdadm cannot be loaded: backy_inspect must be async" in told


@pytest.mark.parametrize("answer", [None, {}, [{"name": "pool"}], "a pool"])
def test_a_wrongly_typed_inspect(answer: object) -> None:
    told = looking(answer)
    assert "Backend mdadm answered backy_inspect with" in told
    assert "Answer a tuple of PoolReport" in told


def test_absent_reported() -> None:
    pool = specs.spec(hooks.backy_backend(), Level(name="raid1", min_drives=1), specs.drives(1))
    gone = specs.report(hooks.backy_backend(), pool, specs.NUMBERINGS[0], "absent")
    told = looking((gone,))
    assert "Backend mdadm answered backy_inspect with pool" in told
    assert "as absent" in told
    assert "Leave out of the answer what is not there" in told


@pytest.mark.parametrize("swallowed", [False, True])
def test_an_undeclared_read_command(swallowed: bool) -> None:
    async def inspect(probe: Probe, only: Scope | None) -> tuple[PoolReport, ...]:
        try:
            await probe.run("lsblk", "--json")
        except Exception:
            if not swallowed:
                raise
        return ()

    told = said(contract(backy_inspect=inspect).test_inspect_survives_nonsense)
    assert "mdadm: backy_inspect ran ('lsblk', '--json'), which is not in read_commands" in told
    assert "declare how it begins" in told


def test_an_unknown_filesystem() -> None:
    told = said(with_info(filesystems=("ext4", "ntfs")).test_its_filesystems_can_be_made)
    assert "backy_backend of mdadm names the filesystem ntfs" in told
    assert "Choose one of ext4" in told


def test_an_unknown_signature_type() -> None:
    types = ("linux_raid_member", "gpt", "PMBR", "md_member")
    told = said(with_info(signature_types=types).test_its_signature_types_are_known)
    assert "backy_backend of mdadm names the signature_types ['md_member']" in told
    assert "use the type that `blkid -p` prints" in told


@pytest.mark.parametrize(
    ("redundant", "words"),
    [
        (None, "is not set, and backy_backend of mdadm advertises ['add_drive', 'degraded_open']"),
        (("mirror", 2), "names the level 'mirror': choose one of ['raid1', 'raid0'"),
        (("raid1", 1), "names 1 drives: raid1 with one to lose takes at least 2"),
        (("raid0", 2), "names the level 'raid0', which backy_backend of mdadm describes without"),
    ],
)
def test_redundant_wrong_or_missing(redundant: object, words: str) -> None:
    told = said(contract(redundant).test_the_redundant_level_may_lose_a_drive)
    assert "TestWrong.redundant" in told
    assert words in told


@pytest.mark.parametrize("program", ["sh", "bash", "env", "python3"])
def test_a_shell_as_a_tool(program: str) -> None:
    told = said(with_info(tools=(Tool(name=program, package=program),)).info)
    assert f"backend mdadm cannot be loaded: backy_backend declares {program} as a tool" in told
    assert "declare the programs themselves" in told
    told = said(with_info(read_commands=((program, "-c"),)).info)
    assert f"backy_backend declares {program} as a read command" in told


def test_a_read_command_that_is_no_tool() -> None:
    told = said(with_info(read_commands=(("lsblk",),)).test_it_loads_and_says_what_it_is)
    assert "mdadm: backy_backend names the read_commands of ['lsblk']" in told
    assert "tell when one is missing" in told


def test_what_does_not_apply_is_skipped_in_words() -> None:
    single = Level(name="raid1", min_drives=1, max_drives=1)
    alone = with_info(levels=(single,), capabilities=frozenset())
    with pytest.raises(pytest.skip.Exception, match="takes exactly 1"):
        alone.test_one_drive_more_is_planned_or_refused(single)
    with pytest.raises(pytest.skip.Exception, match="has one drive"):
        alone.test_opening_with_a_member_missing_answers_or_refuses(single)


def test_a_backend_of_one_drive_is_tested_without_redundancy() -> None:
    single = Level(name="raid1", min_drives=1, max_drives=1)

    def info() -> BackendInfo:
        changes = {"levels": (single,), "capabilities": frozenset[str]()}
        return hooks.backy_backend().model_copy(update=changes)

    alone = contract(None, backy_backend=info)
    alone.test_creating_at_every_level(single)
    alone.test_adding_a_drive()
    with pytest.raises(pytest.skip.Exception, match="neither degraded_open nor add_drive"):
        alone.test_the_redundant_level_may_lose_a_drive()
    check_clean([])


def test_what_operations_print_outlives_their_process(tmp_path: Path) -> None:
    def die() -> None:
        import os
        import signal

        async def run() -> None:
            programs = TappedPrograms(tmp_path / OUTPUTS)
            await programs.run(("echo", "seen"))
            await programs.run(("echo", "it is", "made"), on_line=lambda line: None)

        asyncio.run(run())
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(Killed):
        in_a_process(die)
    assert (tmp_path / OUTPUTS).read_text() == "$ echo 'it is' made\nit is made\n"


@pytest.mark.parametrize("planned", [True, False])
def test_a_close_without_a_program_is_interrupted_at_the_cores_steps(
    planned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(tap.QUICK, "1")
    program = Step(id="stop", title="Stopping", run=Exec(argv=("toyadm",)))
    unmount = Step(id="unmount", title="Unmounting", run=Unmount(path="/mnt/backy/x"))
    steps = (unmount, program) if planned else (unmount,)
    entry: Any = types.SimpleNamespace(
        opened=types.SimpleNamespace(plan=types.SimpleNamespace(kind="close", steps=steps)),
        begun=lambda: [(0, unmount)],
    )
    assert tap._is_moment(entry, Done(round=0, step="unmount"), "before") is not planned
