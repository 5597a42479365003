"""Plans by situation: what is run, in which order, and what is refused."""

from __future__ import annotations

import re

import pytest
from backy_mdadm import hooks
from backy_mdadm.standing import FORCED

from backy_core.sdk.errors import Conflict
from backy_core.sdk.models import DriveId, PoolReport
from backy_core.sdk.plan import (
    Arg,
    BackendPlan,
    Blank,
    DriveRef,
    Exec,
    MemberIs,
    PoolIs,
    Step,
    WipeMember,
)

from .pools import DRIVES, GUID, A, B, C, D, E, member, pool, report

KERNEL_NAME = re.compile(r"\b(sd[a-z]+|md\d+|nvme\d+|ubd[a-z]|loop\d+)\b")
ARRAY = "/dev/md/backy-0a1b2c3d4e5f6071"
UUID = "--uuid=0a1b2c3d:4e5f6071:8293a4b5:c6d7e8f9"


def word(arg: Arg) -> str:
    if isinstance(arg, str):
        return arg
    if isinstance(arg, DriveRef):
        return f"<{arg.drive.serial[-1]}{f'-part{arg.part}' if arg.part else ''}>"
    return "<pool>"


def command(step: Step) -> str:
    if isinstance(step.run, WipeMember):
        return f"wipe <{step.run.drive.serial[-1]}>"
    assert isinstance(step.run, Exec)
    return " ".join(map(word, step.run.argv))


def commands(plan: BackendPlan) -> list[str]:
    """The plan's commands, after the checks that hold for every plan."""
    text = plan.model_dump_json()
    assert BackendPlan.model_validate_json(text) == plan
    assert not KERNEL_NAME.search(text)
    assert [stamp.uuid for stamp in plan.stamps] == [GUID]
    programs = {step.run.argv[0] for step in plan.steps if isinstance(step.run, Exec)}
    assert programs <= {tool.name for tool in hooks.backy_backend().tools}
    return [command(step) for step in plan.steps]


def add(requirements: PoolReport, drive: DriveId = C, replaces: DriveId | None = None) -> list[str]:
    return commands(
        hooks.backy_plan_add_drive(pool=pool(), report=requirements, drive=drive, replaces=replaces)
    )


def test_create_is_undone_by_stopping_and_wiping_what_bears_the_stamp() -> None:
    plan = hooks.backy_plan_create(pool=pool(), drives=(A, B))
    (step,) = plan.steps
    assert len(commands(plan)) == 1
    stop, *wipes = step.undo
    assert isinstance(stop, Exec)
    assert list(map(word, stop.argv)) == ["mdadm", "--stop", "--config=none", "<pool>"]
    assert [wipe.drive for wipe in wipes if isinstance(wipe, WipeMember)] == [A, B]
    assert all(wipe.bears == plan.stamps for wipe in wipes if isinstance(wipe, WipeMember))
    assert [getattr(condition, "cond", "") for condition in step.undo_expect] == ["blank", "blank"]
    assert step.effect == "reversible"


def test_open_takes_members_in_good_standing_alone() -> None:
    pool_report = report(
        member(A, "active", 0), member(B, "stale", 1), member(C, "spare"), presence="stopped"
    )
    plan = hooks.backy_plan_open(pool=pool(), report=pool_report, degraded=False, force=False)
    assert commands(plan) == [f"mdadm --assemble {ARRAY} --config=none {UUID} <1> <3>"]


def test_open_degraded_insists() -> None:
    pool_report = report(member(A, "active", 0), member(B, "diverged", 1), presence="stopped")
    plan = hooks.backy_plan_open(pool=pool(), report=pool_report, degraded=True, force=False)
    assert commands(plan) == [f"mdadm --assemble {ARRAY} --config=none {UUID} --run <1>"]


def test_open_stops_what_udev_left_half_assembled() -> None:
    pool_report = report(member(A, "active", 0), member(B, "active", 1), presence="inactive")
    plan = hooks.backy_plan_open(pool=pool(), report=pool_report, degraded=False, force=False)
    assert commands(plan) == [
        "mdadm --stop --config=none <pool>",
        f"mdadm --assemble {ARRAY} --config=none {UUID} <1> <2>",
    ]


def test_open_of_a_running_pool_has_nothing_to_do() -> None:
    pool_report = report(member(A, "active", 0), member(B, "active", 1))
    assert (
        commands(
            hooks.backy_plan_open(pool=pool(), report=pool_report, degraded=False, force=False)
        )
        == []
    )


def test_open_names_partitions_and_the_arrays_own_uuid() -> None:
    members = [
        member(A, "active", 0).model_copy(update={"device": "sda1"}),
        member(B, "active", 1).model_copy(update={"device": "nvme0n1p2"}),
    ]
    native = "99999999-2222-4333-8444-555555555555"
    pool_report = report(*members, presence="stopped").model_copy(update={"native_id": native})
    plan = hooks.backy_plan_open(
        pool=pool(native_id=native), report=pool_report, degraded=False, force=False
    )
    assert command(plan.steps[0]).endswith(
        "--uuid=99999999:22224333:84445555:55555555 <1-part1> <2-part2>"
    )


def test_open_without_any_drive_says_so() -> None:
    pool_report = report(member(None, "missing", 0), member(None, "missing", 1), presence="stopped")
    with pytest.raises(Conflict, match="No usable drive"):
        hooks.backy_plan_open(pool=pool(), report=pool_report, degraded=True, force=False)


def test_open_by_force_takes_what_is_behind_and_nothing_that_ran_apart() -> None:
    pool_report = report(
        *(member(A, "stale", 0), member(B, "stale", 1), member(C, "active", 2)),
        *(member(D, "diverged"), member(E, "spare")),
        presence="inactive",
        level="raid5",
    )
    plan = hooks.backy_plan_open(
        pool=pool("raid5", 3), report=pool_report, degraded=True, force=True
    )
    assert commands(plan) == [
        "mdadm --stop --config=none <pool>",
        f"mdadm --assemble {ARRAY} --config=none {UUID} --force --run --readonly <1> <2> <3>",
    ]


def test_open_after_a_mount_by_force_overrules_what_the_newest_member_says() -> None:
    forced = member(B, "active", 1).model_copy(update={"behind": FORCED})
    pool_report = report(member(A, "stale", 0), forced, member(C, "active", 2), presence="stopped")
    plan = hooks.backy_plan_open(pool=pool(), report=pool_report, degraded=True, force=False)
    assert commands(plan) == [
        f"mdadm --assemble {ARRAY} --config=none {UUID} --run --force <2> <3>"
    ]
    plan = hooks.backy_plan_open(pool=pool(), report=pool_report, degraded=False, force=False)
    assert "--force" not in commands(plan)[0]


@pytest.mark.parametrize("presence", ["active", "inactive", "stopped"])
def test_close_stops_the_array_by_identity(presence: str) -> None:
    pool_report = report(member(A, "active", 0), member(B, "active", 1), presence=presence)
    plan = hooks.backy_plan_close(pool=pool(), report=pool_report)
    assert commands(plan) == ["mdadm --stop --config=none <pool>"]
    assert plan.goal == (PoolIs(presence="stopped"),)
    assert (plan.steps[0].if_satisfied, plan.steps[0].retry_s) == ("skip", 30)


def test_closing_a_pool_whose_drives_were_all_pulled_leaves_nothing() -> None:
    pool_report = report(member(None, "missing", 0), member(None, "missing", 1))
    plan = hooks.backy_plan_close(pool=pool(), report=pool_report)
    assert plan.goal == (PoolIs(presence="absent"),)


def test_a_blank_drive_takes_the_place_of_a_missing_member() -> None:
    pool_report = report(member(A, "active", 0), member(None, "missing", 1))
    assert add(pool_report) == ["mdadm --manage <pool> --add <3>"]


def test_a_returned_member_is_re_added_and_else_wiped_and_rebuilt() -> None:
    pool_report = report(member(A, "active", 0), member(B, "stale", 1))
    plan = hooks.backy_plan_add_drive(pool=pool(), report=pool_report, drive=B, replaces=None)
    assert commands(plan) == [
        "mdadm --manage <pool> --re-add <2>",
        "wipe <2>",
        "mdadm --manage <pool> --add <2>",
    ]
    _, wipe, again = plan.steps
    assert wipe.only_if == (MemberIs(drive=B, states=("stale",)),), "not if it was taken back"
    assert again.if_satisfied == "skip" and again.expect == plan.goal


def test_a_failed_member_is_let_go_and_offered_to_md_again() -> None:
    pool_report = report(member(A, "active", 0), member(B, "failed"))
    assert add(pool_report, B) == [
        "mdadm --manage <pool> --remove failed --remove detached",
        "mdadm --manage <pool> --re-add <2>",
        "wipe <2>",
        "mdadm --manage <pool> --add <2>",
    ]


def test_a_failed_member_is_replaced() -> None:
    pool_report = report(member(A, "active", 0), member(B, "failed"))
    assert add(pool_report, C, B) == [
        "mdadm --manage <pool> --add <3>",
        "mdadm --manage <pool> --remove failed --remove detached",
    ]


def test_a_healthy_member_is_copied_to_its_replacement() -> None:
    pool_report = report(member(A, "active", 0), member(B, "active", 1))
    assert add(pool_report, C, A) == [
        "mdadm --manage <pool> --add <3>",
        "mdadm --manage <pool> --replace <1> --with <3>",
    ]


def test_the_drive_is_handed_over_at_the_pivot() -> None:
    pool_report = report(member(A, "active", 0), member(None, "missing", 1))
    plan = hooks.backy_plan_add_drive(pool=pool(), report=pool_report, drive=C, replaces=None)
    assert [step.effect for step in plan.steps] == ["pivot"]


def test_a_spare_that_md_does_not_use_starts_anew() -> None:
    pool_report = report(member(A, "active", 0), member(None, "missing", 1), member(B, "spare"))
    assert add(pool_report, B) == [
        "mdadm --manage <pool> --remove <2>",
        "wipe <2>",
        "mdadm --manage <pool> --add <2>",
    ]


def test_only_a_blank_drive_is_added_and_one_that_stays_a_spare_is_given_back() -> None:
    pool_report = report(member(A, "active", 0), member(None, "missing", 1))
    plan = hooks.backy_plan_add_drive(pool=pool(), report=pool_report, drive=C, replaces=None)
    (step,) = plan.steps
    assert step.expect == plan.goal == (MemberIs(drive=C, states=("rebuilding", "active")),)
    assert step.needs == step.undo_expect == (Blank(on=DriveRef(drive=C)),)
    remove, wipe = step.undo
    assert isinstance(remove, Exec) and isinstance(wipe, WipeMember)
    assert list(map(word, remove.argv)) == ["mdadm", "--manage", "<pool>", "--remove", "<3>"]
    assert wipe.bears == plan.stamps


@pytest.mark.parametrize("health", ["recovering", "resync", "check", "reshape"])
def test_md_looks_at_no_spare_while_it_syncs(health: str) -> None:
    pool_report = report(member(A, "active", 0), member(None, "missing", 1))
    with pytest.raises(Conflict, match="stay a spare"):
        add(pool_report.model_copy(update={"health": health}))


def test_plan_hooks_are_pure() -> None:
    for level in hooks.backy_backend().levels:
        drives = DRIVES[: level.min_drives]
        first, second = (
            hooks.backy_plan_create(pool=pool(level.name, len(drives)), drives=drives)
            for _ in range(2)
        )
        assert first == second


def test_a_failed_member_leaves_once_its_replacement_is_in() -> None:
    added, removed = add(report(member(A, "failed"), member(B, "active", 1)))
    assert added == "mdadm --manage <pool> --add <3>"
    assert removed == "mdadm --manage <pool> --remove failed --remove detached"


def test_a_failed_member_that_is_added_again_is_let_go_once() -> None:
    planned = add(report(member(C, "failed"), member(B, "active", 1)))
    assert [command for command in planned if "--remove" in command] == planned[:1]
