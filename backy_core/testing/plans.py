"""Ring one: the backend's plans and reports, without a machine, root or programs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib.metadata import entry_points
from typing import Any

import pytest

from backy_core.operations import filesystems
from backy_core.plugins.host import PluginHost
from backy_core.plugins.registry import BACKEND_GROUP
from backy_core.plugins.stamp_rules import HINT
from backy_core.sdk.errors import BackendFailure, BackyError, InvalidRequest
from backy_core.sdk.models import (
    DriveId,
    Level,
    PoolReport,
    PoolSpec,
    Presence,
    ProbedDrive,
    Unreadable,
)
from backy_core.sdk.plan import BackendPlan, Plan
from backy_core.system import blkid
from backy_core.testing import arguments, hostile, specs
from backy_core.testing.purity import pure
from backy_core.testing.subject import Subject

Ask = Callable[[PluginHost, PoolSpec, Any], Awaitable[BackendPlan | None]]
_HOOKS = {
    "_create": "backy_plan_create",
    "_open": "backy_plan_open",
    "_degraded": "backy_plan_open",
    "_forced": "backy_plan_open",
    "_close": "backy_plan_close",
    "_teardown": "backy_plan_teardown",
    "_add": "backy_plan_add_drive",
}
_ANSWERS = "Answer a tuple of PoolReport, or raise SystemFailure where the look fails"
_SPARE = DriveId(serial="newcomer", wwn="0x5000c5009abcdef0", size=1 << 40)


class PlanContract(Subject):
    """Plans are pure, repeatable, free of kernel names and survive the journal."""

    def test_it_loads_and_says_what_it_is(self) -> None:
        info = self.info()
        assert info.version, "the version is empty"
        assert info.signature_types, "without signature_types its drives are not protected"
        assert all(tool.package for tool in info.tools), "a tool names no package"
        assert all(info.read_commands), "an empty read command would allow every program"
        tools = {tool.name for tool in info.tools}
        strange = sorted({words[0] for words in info.read_commands} - tools)
        assert not strange, (
            f"{info.name}: backy_backend names the read_commands of {strange}, which are not in "
            "tools: declare them, or nobody can tell when one is missing"
        )
        module = getattr(self.backend, "__name__", None)
        points = [point for point in entry_points(group=BACKEND_GROUP) if point.module == module]
        named = {point.name for point in points}
        assert named <= {info.name}, f"it calls itself {info.name}, its entry point {named}"

    def test_its_filesystems_can_be_made(self) -> None:
        info = self.info()
        if info.delivers != "block":
            pytest.skip("it makes its filesystem itself")
        for name in info.filesystems:
            try:
                filesystems.known(name)
            except InvalidRequest as error:
                raise AssertionError(
                    f"backy_backend of {info.name} names the filesystem {name}, which the core "
                    f"cannot make. {error.hint}"
                ) from None

    def test_its_signature_types_are_known(self) -> None:
        info = self.info()
        unknown = [name for name in info.signature_types if not blkid.knows(name)]
        assert not unknown, (
            f"backy_backend of {info.name} names the signature_types {unknown}, which libblkid "
            "never finds, so its drives look blank: use the type that `blkid -p` prints"
        )

    def test_the_redundant_level_may_lose_a_drive(self) -> None:
        able = self.info().capabilities & {"add_drive", "degraded_open"}
        if not able and self.redundant is None:
            pytest.skip("it advertises neither degraded_open nor add_drive")
        name, count = self.redundancy()
        pool = self._pool(self.level(name), count)
        for hook, ask, presence in (
            ("degraded_open", self._degraded, "stopped"),
            ("add_drive", self._add, "active"),
        ):
            report = specs.report(self.info(), pool, specs.NUMBERINGS[0], presence, ("missing",))  # type: ignore[arg-type]
            try:
                if hook in able:
                    self._twice(ask, pool, report)
            except BackyError as error:
                raise AssertionError(
                    f"{type(self).__name__}.redundant is {self.redundant}, but {self._name()}, "
                    f"which advertises {hook}, refuses such a pool without one of its drives: "
                    f"{error}. Name a level that survives it, or do not advertise it"
                ) from error

    def test_creating_at_every_level(self, level: Level) -> None:
        pool = self._pool(level)
        self._check_creation(self._twice(self._create, pool), pool)

    def test_one_drive_more_is_planned_or_refused(self, level: Level) -> None:
        if level.max_drives is not None and level.max_drives <= level.min_drives:
            pytest.skip(f"{level.name} takes exactly {level.min_drives}")
        self._answer_or_refusal(self._create, self._pool(level, level.min_drives + 1))

    def test_odd_labels_are_data(self, level: Level) -> None:
        for label in specs.LABELS:
            pool = self._pool(level, label=label)
            plan = self._twice(self._create, pool)
            options = [option for step in plan.steps for option in arguments.options(step, label)]
            assert not options, (
                f"{self._told(self._create)}: the label {label!r} is read as an option in "
                f"{options}: put it into one argument with its option, or behind `--`"
            )

    def test_opening(self, level: Level) -> None:
        plan = self._everywhere(level, "stopped", self._open)
        assert plan.steps, f"{self._told(self._open)} opens a stopped pool without any step"
        self._check_outcome(plan, self._open)

    def test_opening_what_is_open_changes_nothing_by_force(self, level: Level) -> None:
        plan = self._everywhere(level, "active", self._open)
        wipes = [step.id for step in plan.steps if step.effect == "destroys"]
        assert not wipes, f"{self._told(self._open)} destroys: {wipes}"

    def test_closing_and_tearing_down(self, level: Level) -> None:
        """Plans to close and tear down may have no steps if only the mount holds the drives."""
        for ask in (self._close, self._teardown):
            plan, hook = self._everywhere(level, "active", ask), self._told(ask)
            assert plan.goal or any(step.expect for step in plan.steps), (
                f"{hook} says neither in `goal` nor in any `expect` that the pool is released: add "
                "PoolIs(presence='stopped')"
            )
            assert plan.steps or self.info().delivers == "filesystem", (
                f"{hook} releases a running pool without any step: stop what holds its drives"
            )
            assert plan.stamps, f"{hook} has no stamps. {HINT}"

    def test_opening_with_a_member_missing_answers_or_refuses(self, level: Level) -> None:
        if level.max_drives == 1:
            pytest.skip(f"{level.name} has one drive, and without it there is no pool to open")
        for degraded in (False, True):
            pool = self._pool(level, max(2, level.min_drives))
            report = specs.report(self.info(), pool, specs.NUMBERINGS[0], "stopped", ("missing",))
            self._answer_or_refusal(self._degraded if degraded else self._open, pool, report)

    def test_force_is_taken_where_it_is_asked_for(self) -> None:
        """It cannot be taken back, so an ordinary open does it only where force wrote nothing."""
        if "force_open" not in self.info().capabilities:
            pytest.skip("it does not advertise force_open")
        taken = [level for level in self.info().levels if self._takes_force(level)]
        assert taken, (
            f"{self._told(self._forced)} refuses `force` at every level, or names no effect of it: "
            "plan a step with the effect `destroys`, or do not advertise force_open"
        )

    def test_adding_a_drive(self) -> None:
        if "add_drive" not in self.info().capabilities:
            with pytest.raises(BackyError):
                self._ask_to_add(self._pool(self.info().levels[0]))
            return
        name, count = self.redundancy()
        plan = self._ask_to_add(self._pool(self.level(name), count))
        assert any(step.effect == "pivot" for step in plan.steps)

    def test_inspect_survives_nonsense(self) -> None:
        info = self.info()
        names = specs.NUMBERINGS[0]
        shown = [
            ProbedDrive(name=name, node=f"/dev/{name}", id=drive)
            for name, drive in zip(names, specs.drives(len(names)), strict=True)
        ]
        for text, recorded in hostile.invented(info, shown):
            self.inspect_twice(recorded, text)

    # helpers

    def inspect_twice(self, recorded: hostile.Recorded, otherwise: str = "") -> None:
        """Inspect must answer reports or refuse with a BackyError, twice the same."""

        answers: list[tuple[object, ...]] = []
        for _ in range(2):
            try:
                answers.append(asyncio.run(self._inspected(recorded, otherwise)))
            except BackendFailure as error:
                _refuse_crash(error, recorded, otherwise)
                assert error.__cause__, f"{error}. {error.hint or _ANSWERS}"
                answers.append((str(error),))
            except BackyError as error:
                _refuse_crash(error, recorded, otherwise)
                answers.append((str(error),))
        assert answers[0] == answers[1], f"two looks at the same differ: {answers}"

    def check_not_overlooked(self, recorded: hostile.Recorded, guid: str) -> None:
        """If commands fail, inspect must fail or report the pool as it did when they worked: an
        unreported pool counts as gone, and a stopped one may be opened."""

        def told(shown: hostile.Recorded) -> str | None:
            answers = asyncio.run(self._inspected(shown, ""))
            reports = (answer for answer in answers if isinstance(answer, PoolReport))
            presence = next((report.presence for report in reports if report.guid == guid), None)
            unread = {answer.device for answer in answers if isinstance(answer, Unreadable)}
            return presence or ("unreadable" if unread else None)

        try:
            presence_then = told(hostile.silenced(recorded))
        except BackyError as error:
            _refuse_crash(error, recorded)
            return
        # What is said to be unreadable is kept as it was.
        assert presence_then in (told(recorded), "unreadable"), (
            f"the pool is {presence_then or 'overlooked'} when commands fail"
        )

    async def _inspected(
        self, recorded: hostile.Recorded, otherwise: str
    ) -> tuple[PoolReport | Unreadable, ...]:
        """Report every forbidden read, even if the backend swallows the refusal."""
        probe = hostile.ReplayProbe(info := self.info(), recorded, otherwise)
        try:
            answers = await self.hosting().inspect(self._name(), probe)
        finally:
            if probe.refused:
                raise hostile.UndeclaredLook(f"{self._name()}: {probe.refused[0]}")
        needs = any(isinstance(answer, PoolReport) and answer.needs_force for answer in answers)
        assert not needs or "force_open" in info.capabilities, (
            f"{info.name}: backy_inspect sets needs_force, and force_open is not advertised"
        )
        return answers

    def _pool(self, level: Level, count: int | None = None, label: str = "backup") -> PoolSpec:
        return specs.spec(self.info(), level, specs.drives(count or level.min_drives), label)

    def _twice(self, ask: Ask, pool: PoolSpec, report: PoolReport | None = None) -> Any:
        """The plan, made twice by hooks that may not look around."""

        async def both() -> tuple[BackendPlan | None, BackendPlan | None]:
            host = self.hosting()
            with pure(self._name()):
                return await ask(host, pool, report), await ask(host, pool, report)

        first, second = asyncio.run(both())
        assert first == second, (
            f"{self._told(ask)} answers one question with two different plans: let them depend on "
            "its arguments alone"
        )
        if first is not None:
            self._check_round_trip(first, pool)
        return first

    def _everywhere(self, level: Level, presence: Presence, ask: Ask) -> Any:
        """The plan for the same pool under several kernel numberings: always the same one."""
        pool = self._pool(level)
        plans = [
            self._twice(ask, pool, specs.report(self.info(), pool, names, presence))
            for names in specs.NUMBERINGS
        ]
        assert all(plan == plans[0] for plan in plans), (
            f"{self._told(ask)} depends on kernel names, which change with each boot: name "
            "drives by DriveRef, and leave `device` out"
        )
        return plans[0]

    def _answer_or_refusal(
        self, ask: Ask, pool: PoolSpec, report: PoolReport | None = None
    ) -> None:
        try:
            self._twice(ask, pool, report)
        except BackyError as error:
            assert error.message, "a refusal says nothing"
            _refuse_crash(error, pool, report)

    def _takes_force(self, level: Level) -> bool:
        """Half of its members are behind. Fails where an open without force goes as far."""
        pool = self._pool(level, count := max(2, level.min_drives))
        stale = ("stale",) * (count // 2)
        plain_report = specs.report(self.info(), pool, specs.NUMBERINGS[0], "stopped", stale)  # type: ignore[arg-type]
        plain_report = plain_report.model_copy(
            update={"needs_force": "Half of its members are up to date"}
        )

        def planned(ask: Ask) -> BackendPlan | None:
            try:
                plan: BackendPlan = self._twice(ask, pool, plain_report)
            except BackyError as error:
                _refuse_crash(error, pool, plain_report)
                return None
            return plan

        forced, ordinary = planned(self._forced), planned(self._degraded)
        lasts = [_destroys(plan) for plan in (forced, ordinary)]
        # A forced open that writes nothing is made to last by the ordinary one after it.
        assert not all(lasts), f"{self._told(self._degraded)} acts without `force`"
        return forced is not None and any(lasts)

    def _ask_to_add(self, pool: PoolSpec) -> BackendPlan:
        report = specs.report(self.info(), pool, specs.NUMBERINGS[0], "active", ("missing",))
        plan: BackendPlan = self._twice(self._add, pool, report)
        return plan

    async def _create(self, host: PluginHost, pool: PoolSpec, report: Any) -> BackendPlan:
        return await host.plan_create(self._name(), pool, pool.drives)

    async def _add(self, host: PluginHost, pool: PoolSpec, report: PoolReport) -> BackendPlan:
        return await host.plan_add_drive(self._name(), pool, report, _SPARE, None)

    async def _open(self, host: PluginHost, pool: PoolSpec, report: PoolReport) -> BackendPlan:
        return await host.plan_open(self._name(), pool, report, False)

    async def _degraded(self, host: PluginHost, pool: PoolSpec, report: PoolReport) -> BackendPlan:
        return await host.plan_open(self._name(), pool, report, True)

    async def _forced(self, host: PluginHost, pool: PoolSpec, report: PoolReport) -> BackendPlan:
        return await host.plan_open(self._name(), pool, report, True, True)

    async def _close(self, host: PluginHost, pool: PoolSpec, report: PoolReport) -> BackendPlan:
        return await host.plan_close(self._name(), pool, report)

    async def _teardown(self, host: PluginHost, pool: PoolSpec, report: PoolReport) -> BackendPlan:
        return await host.plan_teardown(self._name(), pool, report)

    def _check_creation(self, plan: BackendPlan, pool: PoolSpec) -> None:
        assert plan.steps, f"{self._told(self._create)} creates a pool without any step"
        self._check_outcome(plan, self._create)
        named = {
            ref.drive
            for step in plan.steps
            for ref in arguments.references_of(step)
            if hasattr(ref, "drive")
        }
        assert named == set(pool.drives), (
            f"{self._told(self._create)} uses {len(named)} of {len(pool.drives)} drives: name each "
            "of them by DriveRef"
        )

    def _told(self, ask: Ask) -> str:
        """Whom a message is about: the plugin and its hook."""
        return f"{self._name()}: {_HOOKS[ask.__name__]}"

    def _check_outcome(self, plan: BackendPlan, ask: Ask) -> None:
        """The last step that changes something says what is so afterwards."""
        changing = [step for step in plan.steps if step.effect != "none"]
        last = (changing or plan.steps)[-1]
        assert last.expect, (
            f"{self._told(ask)} has no `expect` in its step {last.id}, so a program that lies is "
            "believed: say what must be true afterwards, as PoolIs(presence='active')"
        )

    def _check_round_trip(self, plan: BackendPlan, pool: PoolSpec) -> None:
        """The journal writes a plan as JSON; what is read after a crash must be the same."""
        assert BackendPlan.model_validate_json(plan.model_dump_json()) == plan
        whole = Plan(
            kind="create",
            backend=self._name(),
            plugin_version=self.info().version,
            pool=pool,
            drives=pool.drives,
            delivers=plan.delivers,
            stamps=plan.stamps,
            enclosing=plan.enclosing,
            steps=plan.steps,
            goal=plan.goal,
        )
        assert Plan.model_validate_json(whole.model_dump_json()) == whole


def _refuse_crash(error: BackyError, *shown: object) -> None:
    """The host turns an exception of a plugin into BackendFailure; its cause tells."""
    cause = error.__cause__
    assert cause is None or isinstance(cause, BackyError | TimeoutError), (
        f"{type(cause).__name__}: {cause}, shown {shown!r:.2000}"
    )


def _destroys(plan: BackendPlan | None) -> bool:
    return plan is not None and any(step.effect == "destroys" for step in plan.steps)
