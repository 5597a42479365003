"""Asking a backend for plans: what it is asked, and which answers are refused."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from backy_core.sdk.errors import BackendFailure, Conflict, InvalidRequest, PlanRefused
from backy_core.sdk.models import (
    DriveId,
    Requirement,
)
from backy_core.sdk.plan import BackendPlan, MemberIs
from tests.core.plugins.toys import DRIVE, INFO, OTHER, POOL, PROBE, REPORT, Toy, hosting, plan, toy


async def test_plans_are_asked_for_with_what_the_hook_wants() -> None:
    host = hosting(Toy())
    assert await host.plan_create("toy", POOL, (DRIVE,)) == plan()
    assert await host.plan_open("toy", POOL, REPORT, degraded=False) == plan(OTHER)
    assert (await host.plan_close("toy", POOL, REPORT)).steps == ()
    assert (await host.plan_teardown("toy", POOL, REPORT)).steps == ()


async def test_a_backend_without_a_teardown_of_its_own_releases_by_closing() -> None:
    closing = plan(DRIVE)
    host = hosting(toy(backy_plan_teardown=None, backy_plan_close=lambda self: closing))
    assert await host.plan_teardown("toy", POOL, REPORT) == closing


async def test_what_a_backend_cannot_handle_is_never_planned_for() -> None:
    host = hosting(Toy())
    seen = REPORT.model_copy(update={"usable": False, "detail": "Firmware RAID is no pool."})
    for asked in (
        host.plan_open("toy", POOL, seen, degraded=True),
        host.plan_close("toy", POOL, seen),
        host.plan_teardown("toy", POOL, seen),
    ):
        with pytest.raises(Conflict, match="Firmware RAID is no pool"):
            await asked


async def test_a_pool_whose_members_were_used_apart_is_opened_on_request_only() -> None:
    host = hosting(Toy())
    (good, *_) = REPORT.members
    apart = REPORT.model_copy(
        update={"members": (good, good.model_copy(update={"state": "diverged"}))}
    )
    with pytest.raises(Conflict, match="used separately"):
        await host.plan_open("toy", POOL, apart, degraded=False)
    assert await host.plan_open("toy", POOL, apart, degraded=True) == plan(OTHER)


async def test_a_plan_with_a_foreign_drive_is_refused() -> None:
    host = hosting(toy(backy_plan_create=lambda self: plan(OTHER)))
    with pytest.raises(
        PlanRefused, match=r"toy \(backy_plan_create\) breaks a rule: .*drive-scsi2"
    ):
        await host.plan_create("toy", POOL, (DRIVE,))


@pytest.mark.parametrize("answer", [None, [], {"steps": []}, "plan"])
async def test_a_plan_of_the_wrong_type_is_a_failure(answer: object) -> None:
    host = hosting(toy(backy_plan_create=lambda self: answer))
    with pytest.raises(BackendFailure, match="toy answered backy_plan_create with"):
        await host.plan_create("toy", POOL, (DRIVE,))


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), StopIteration(), KeyError()])
async def test_a_raising_plan_hook_is_named(error: BaseException) -> None:
    def backy_plan_create(self: object) -> BackendPlan:
        raise error

    host = hosting(toy(backy_plan_create=backy_plan_create))
    with pytest.raises(BackendFailure, match="toy failed in backy_plan_create"):
        await host.plan_create("toy", POOL, (DRIVE,))


async def test_a_refusal_in_the_plugins_own_words_passes() -> None:
    def backy_plan_create(self: object) -> BackendPlan:
        raise InvalidRequest("An odd number of drives does not make a toy")

    host = hosting(toy(backy_plan_create=backy_plan_create))
    with pytest.raises(InvalidRequest, match="odd number"):
        await host.plan_create("toy", POOL, (DRIVE,))


async def test_a_hanging_plan_hook_blocks_neither_loop_nor_host() -> None:
    release = threading.Event()
    host = hosting(toy(backy_plan_create=lambda self: release.wait()), plan_deadline_s=0.2)
    asking = asyncio.create_task(host.plan_create("toy", POOL, (DRIVE,)))
    await asyncio.sleep(0.01)
    assert (await host.plan_close("toy", POOL, REPORT)).steps == ()
    with pytest.raises(BackendFailure, match="did not answer backy_plan_create in time"):
        await asking
    release.set()


async def test_adding_needs_the_backend_to_offer_it() -> None:
    host = hosting(Toy())
    with pytest.raises(BackendFailure, match="cannot add drives"):
        await host.plan_add_drive("toy", POOL, REPORT, OTHER, None)


async def test_a_backend_that_adds_drives_is_asked() -> None:
    new = DriveId(serial="new", size=1)
    goal = (MemberIs(drive=new, states=("active",)),)
    addition = plan(new, "pivot").model_copy(update={"goal": goal})
    capable = toy(
        backy_backend=lambda self: INFO.model_copy(
            update={"capabilities": frozenset({"add_drive"})}
        ),
        backy_plan_add_drive=lambda self, drive: addition,
    )
    host = hosting(capable)
    assert await host.plan_add_drive("toy", POOL, REPORT, new, OTHER) == addition


async def test_an_unknown_backend_is_told_from_a_broken_one() -> None:
    host = hosting(toy(backy_inspect=None))
    with pytest.raises(BackendFailure, match="No plugin for backend zfs is installed"):
        await host.inspect("zfs", PROBE)
    with pytest.raises(BackendFailure, match="toy cannot be used: it does not implement"):
        await host.inspect("toy", PROBE)


async def test_a_backend_explains_what_a_program_said() -> None:
    lacking = Requirement(feature="toys\nof 2030", kernel="9.1")
    told = hosting(toy(backy_explain=lambda self, output: [lacking] if "new" in output else []))
    assert await told.explain("toy", "too new") == (
        lacking.model_copy(update={"feature": "toysof 2030"}),
    )
    assert await told.explain("toy", "too old") == ()
    assert await hosting(Toy()).explain("toy", "too new") == ()


@pytest.mark.parametrize("answer", [None, "toys", ["toys"], ZeroDivisionError])
async def test_one_that_cannot_explain_leaves_the_failure_as_it_is(answer: Any) -> None:
    def explain(self: object, output: str) -> Any:
        if answer is ZeroDivisionError:
            raise ZeroDivisionError
        return answer

    assert await hosting(toy(backy_explain=explain)).explain("toy", "too new") == ()
