"""The kit fails where it should: each wrong backend is caught by the test that is there for it."""

from __future__ import annotations

import random
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from backy_mdadm import hooks
from backy_mdadm.examine import EXAMINE

from backy_core.sdk import hookimpl
from backy_core.sdk.errors import BackyError
from backy_core.sdk.models import BackendInfo, DriveId, Level, PoolReport, PoolSpec, Probe
from backy_core.sdk.plan import BackendPlan, Exec
from backy_core.sdk.scope import Scope
from backy_core.testing import PlanContract, hostile, specs
from backy_core.testing.fork import FailedInside, Killed, in_a_process

HOOKS = [name for name in vars(hooks) if name.startswith("backy_")]


def wrong(**changed: Callable[..., Any]) -> PlanContract:
    """The contract for the mdadm backend with some of its hooks exchanged."""
    module = types.ModuleType("wrong")
    vars(module).update({name: getattr(hooks, name) for name in HOOKS})
    vars(module).update({name: hookimpl(function) for name, function in changed.items()})
    kind = type("Wrong", (PlanContract,), {"backend": module, "redundant": ("raid1", 2)})
    contract: PlanContract = kind()
    return contract


def create(pool: PoolSpec, drives: tuple[DriveId, ...], *more: str, **changes: Any) -> BackendPlan:
    """A good plan with ``more`` arguments at the end of its first command."""
    plan = hooks.backy_plan_create(pool=pool, drives=drives)
    first = plan.steps[0]
    assert isinstance(first.run, Exec)
    run = first.run.model_copy(update={"argv": (*first.run.argv, *more)})
    step = first.model_copy(update={"run": run})
    return plan.model_copy(update={"steps": (step, *plan.steps[1:]), **changes})


def with_argument(make: Callable[[PoolSpec], str]) -> PlanContract:
    return wrong(backy_plan_create=lambda pool, drives: create(pool, drives, make(pool)))


def refused(contract: PlanContract) -> str:
    """Why creating a pool at the first level does not pass."""
    level = contract.info().levels[0]
    with pytest.raises((AssertionError, BackyError)) as caught:
        contract.test_creating_at_every_level(level)
    told = caught.value
    return f"{told} {told.__cause__!r} {getattr(told, 'details', '')}"


def test_the_unchanged_backend_passes() -> None:
    contract = with_argument(lambda pool: "--quiet")
    contract.test_creating_at_every_level(contract.info().levels[0])


@pytest.mark.parametrize(
    "look",
    [
        lambda pool: str(time.time()),
        lambda pool: str(random.randint(0, 9)),
        lambda pool: Path("/etc/hostname").read_text(),
        lambda pool: str(len(list(Path("/dev").iterdir()))),
        lambda pool: subprocess.run(["true"], capture_output=True, text=True).stdout,
    ],
    ids=["clock", "chance", "file", "directory", "program"],
)
def test_a_plan_that_looks_around_is_caught(look: Callable[[PoolSpec], str]) -> None:
    assert "ImpurePlan" in refused(with_argument(look))


def test_a_plan_that_differs_is_caught() -> None:
    calls: list[int] = []
    assert "two different plans" in refused(
        with_argument(lambda pool: calls.append(1) or f"--n={len(calls)}")  # type: ignore[func-returns-value]
    )


def test_a_kernel_name_is_caught() -> None:
    assert "names a device" in refused(with_argument(lambda pool: "/dev/sdb"))


def test_a_plan_without_stamps_is_caught() -> None:
    bare = wrong(backy_plan_create=lambda pool, drives: create(pool, drives, stamps=()))
    assert "stamps" in refused(bare)


def test_a_forgotten_drive_is_caught() -> None:
    fewer = wrong(backy_plan_create=lambda pool, drives: create(pool, drives[:1]))
    with pytest.raises(AssertionError, match="uses 1 of 2"):
        fewer.test_creating_at_every_level(fewer.level("raid0"))


def test_a_label_that_becomes_an_option_is_caught() -> None:
    with pytest.raises(AssertionError, match="read as an option"):
        contract = with_argument(lambda pool: pool.label)
        contract.test_odd_labels_are_data(contract.info().levels[0])


def test_a_plan_that_follows_kernel_names_is_caught() -> None:
    def close(pool: PoolSpec, report: PoolReport) -> BackendPlan:
        plan = hooks.backy_plan_close(pool=pool, report=report)
        step = plan.steps[0].model_copy(update={"title": f"Stopping {report.members[0].device}"})
        return plan.model_copy(update={"steps": (step,)})

    contract = wrong(backy_plan_close=close)
    with pytest.raises(AssertionError, match="depends on kernel names"):
        contract.test_closing_and_tearing_down(contract.info().levels[0])


@pytest.mark.parametrize("how", ["crash", "undeclared", "unreadable", "moody"])
def test_an_inspect_that_goes_wrong_is_caught(how: str) -> None:
    looks: list[int] = []

    async def inspect(probe: Probe, only: Scope | None) -> object:
        looks.append(1)
        if how == "crash":
            return [int((await probe.read("/proc/mdstat"))[0] or "0")]
        if how == "undeclared":
            await probe.run("mdadm", "--stop", "--scan")
        if how == "unreadable":
            await probe.read("/etc/passwd")
        if how == "moody" and len(looks) % 2:
            raise BackyError("not today")
        return await hooks.backy_inspect(probe=probe, only=only)

    with pytest.raises(AssertionError):
        wrong(backy_inspect=inspect).test_inspect_survives_nonsense()


@pytest.mark.parametrize("how", ["nothing", "resting", "the truth", "a refusal"])
def test_a_pool_that_is_overlooked_when_commands_fail_is_caught(how: str) -> None:
    level = Level(name="raid1", min_drives=2)
    info = hooks.backy_backend()
    pool = specs.spec(info, level, specs.drives(2), "backup")
    running, resting = (
        specs.report(info, pool, specs.NUMBERINGS[0], presence)
        for presence in ("active", "stopped")
    )

    async def inspect(probe: Probe, only: Scope | None) -> list[PoolReport]:
        if (await probe.run(*EXAMINE)).code == 0 or how == "the truth":
            return [running]
        if how == "a refusal":
            raise BackyError("mdadm fails")
        return [resting] if how == "resting" else []

    recorded = hostile.Recorded(commands={EXAMINE: hostile.Given(0, "all is well")})
    contract = wrong(backy_inspect=inspect)
    if how in ("the truth", "a refusal"):
        contract.check_not_overlooked(recorded, pool.guid)
        return
    with pytest.raises(AssertionError, match="when commands fail"):
        contract.check_not_overlooked(recorded, pool.guid)


def test_a_backend_that_cannot_be_loaded_is_told_why() -> None:
    def half() -> BackendInfo:
        return hooks.backy_backend().model_copy(update={"levels": ()})

    with pytest.raises(AssertionError, match="names no level"):
        wrong(backy_backend=half).info()


def test_a_name_that_is_not_the_entry_points_is_caught() -> None:
    def other() -> BackendInfo:
        return hooks.backy_backend().model_copy(update={"name": "md"})

    contract = wrong(backy_backend=other)
    contract.test_it_loads_and_says_what_it_is()
    vars(contract.backend)["__name__"] = hooks.__name__
    with pytest.raises(AssertionError, match=r"calls itself md, its entry point .'mdadm'"):
        contract.test_it_loads_and_says_what_it_is()


def test_a_check_cannot_be_replaced() -> None:
    with pytest.raises(TypeError, match=r"replaces checks of the contract: .*test_opening"):
        type("Lax", (PlanContract,), {"backend": hooks, "test_opening": None})


@pytest.mark.parametrize("excuse", ["skip", "xfail"])
def test_a_check_cannot_be_skipped(excuse: str, tmp_path: Path) -> None:
    module = tmp_path / "test_lax.py"
    module.write_text(
        "import pytest, backy_mdadm.hooks\n"
        "from backy_core.testing import PlanContract\n"
        f"@pytest.mark.{excuse}(reason='later')\n"
        "class TestLax(PlanContract):\n"
        "    backend = backy_mdadm.hooks\n"
    )
    options = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(module)], capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "is part of the contract" in done.stdout + done.stderr


def test_a_process_that_fails_hangs_or_is_killed_is_told_apart() -> None:
    import os
    import signal

    assert in_a_process(lambda: {"kept": 1}) == {"kept": 1}
    with pytest.raises(FailedInside, match="ZeroDivisionError"):
        in_a_process(lambda: 1 // 0)
    with pytest.raises(Killed):
        in_a_process(lambda: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(FailedInside, match=r"did not end within .*sleep 9 \(S"):
        in_a_process(lambda: subprocess.run(["sleep", "9"]), limit_s=0.5)
    with pytest.raises(FailedInside, match="status 3"):
        in_a_process(lambda: os._exit(3))


def _opening(*, forced: bool) -> PlanContract:
    def backy_plan_open(
        pool: PoolSpec, report: PoolReport, degraded: bool, force: bool
    ) -> BackendPlan:
        return hooks.backy_plan_open(pool=pool, report=report, degraded=degraded, force=forced)

    return wrong(backy_plan_open=backy_plan_open)


def test_force_that_is_not_asked_for_is_caught() -> None:
    with pytest.raises(AssertionError, match="without `force`"):
        _opening(forced=True).test_force_is_taken_where_it_is_asked_for()


def test_force_that_is_never_taken_is_caught() -> None:
    with pytest.raises(AssertionError, match="refuses `force` at every level"):
        _opening(forced=False).test_force_is_taken_where_it_is_asked_for()


def test_a_need_of_force_without_the_capability_is_caught() -> None:
    async def look(probe: Probe, only: Scope | None) -> tuple[PoolReport, ...]:
        info = hooks.backy_backend()
        pool = specs.spec(info, info.levels[0], specs.drives(1))
        seen = specs.report(info, pool, specs.NUMBERINGS[0], "stopped")
        return (seen.model_copy(update={"needs_force": "Only 1 is up to date"}),)

    def info() -> BackendInfo:
        own = hooks.backy_backend()
        return own.model_copy(update={"capabilities": own.capabilities - {"force_open"}})

    with pytest.raises(AssertionError, match="force_open is not advertised"):
        wrong(backy_inspect=look, backy_backend=info).test_inspect_survives_nonsense()
