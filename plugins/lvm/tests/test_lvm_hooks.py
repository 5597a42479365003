"""Plans by situation: what is run, in which order, and what is refused."""

from __future__ import annotations

import re

import pytest
from backy_lvm import hooks
from backy_lvm.stamps import pv_uuid

from backy_core.sdk.errors import InvalidRequest
from backy_core.sdk.models import DriveId, MemberReport, PoolReport
from backy_core.sdk.plan import Action, Arg, BackendPlan, DriveRef, Exec, Join, WipeMember

from .lvm_pools import DRIVES, GUID, VG_UUID, A, B, C, member, pool, report

KERNEL_NAME = re.compile(r"\b(sd[a-z]+|md\d+|dm-\d+|nvme\d+|ubd[a-z]|loop\d+)\b")
GROUP = f"backy-{GUID}"
MAPPED = f"backy--{GUID.replace('-', '--')}-pool"
PLACEHOLDERS = f"{MAPPED}_rimage_1-missing_0_0 {MAPPED}_rmeta_1-missing_0_0"


def word(arg: Arg) -> str:
    if isinstance(arg, Join):
        return arg.sep.join(map(word, arg.parts))
    if isinstance(arg, DriveRef):
        return f"<{arg.drive.serial[-1]}>"
    assert isinstance(arg, str)
    return arg.replace(GROUP, "VG")


def text(action: Action) -> str:
    """Without what every command has: the monitoring switch and ``--yes``."""
    if isinstance(action, WipeMember):
        return f"wipe <{action.drive.serial[-1]}>"
    assert isinstance(action, Exec)
    words = list(map(word, action.argv))
    if words[0] == "lvm":
        at = words.index("--config")
        assert words[at + 1].startswith("activation{monitoring=0") and words[at + 2] == "--yes"
        assert words[2] == "--devices"
        words[at : at + 3] = []
        words[2:4] = [f"[{words[3]}]"]
    return " ".join(words[1:])


def commands(plan: BackendPlan) -> list[str]:
    """The plan's commands, after the checks that hold for every plan."""
    dumped = plan.model_dump_json()
    assert BackendPlan.model_validate_json(dumped) == plan
    assert not KERNEL_NAME.search(dumped)
    assert {stamp.type for stamp in plan.stamps} == {"LVM2_member"}
    assert all(stamp.uuid for stamp in plan.stamps)
    programs = {step.run.argv[0] for step in plan.steps if isinstance(step.run, Exec)}
    assert programs <= {tool.name for tool in hooks.backy_backend().tools}
    return [text(step.run) for step in plan.steps]


def opened(pool_report: PoolReport) -> list[str]:
    return commands(hooks.backy_plan_open(pool=pool(), report=pool_report))


def closed(pool_report: PoolReport) -> list[str]:
    return commands(hooks.backy_plan_close(pool=pool(), report=pool_report))


def added(
    pool_report: PoolReport, drive: DriveId = C, replaces: DriveId | None = None
) -> list[str]:
    return commands(
        hooks.backy_plan_add_drive(pool=pool(), report=pool_report, drive=drive, replaces=replaces)
    )


def uuids(*drives: DriveId) -> list[str]:
    return [pv_uuid(GUID, drive) for drive in drives]


def stamped(plan: BackendPlan) -> set[str | None]:
    return {stamp.uuid for stamp in plan.stamps}


def test_create_prepares_each_drive_then_group_and_volume() -> None:
    plan = hooks.backy_plan_create(pool=pool(), drives=(A, B))
    uuid_pair, two = uuids(A, B)
    assert commands(plan) == [
        f"pvcreate [<1>] --uuid {uuid_pair} --norestorefile <1>",
        f"pvcreate [<2>] --uuid {two} --norestorefile <2>",
        f"vgcreate [<1>,<2>] --setautoactivation n --addtag backy={GUID} VG <1> <2>",
        "lvcreate [<1>,<2>] --wipesignatures y --zero y --type raid1 --mirrors 1 "
        "--extents 100%FREE --name pool VG",
    ]
    assert stamped(plan) == {uuid_pair, two}


def test_a_creation_is_undone_by_deactivating_and_wiping_what_bears_the_stamps() -> None:
    plan = hooks.backy_plan_create(pool=pool(), drives=(A, B))
    undone = [text(action) for step in reversed(plan.steps) for action in step.undo]
    assert undone == [
        "vgchange [<1>,<2>] --activate n VG",
        *("wipe <1>", "wipe <2>", "wipe <2>", "wipe <1>"),
    ]
    wipes = [
        action for step in plan.steps for action in step.undo if isinstance(action, WipeMember)
    ]
    assert {stamp.uuid for wipe in wipes for stamp in wipe.bears} == stamped(plan)
    assert all(wipe.bears[0].uuid == pv_uuid(GUID, wipe.drive) for wipe in wipes)


@pytest.mark.parametrize(
    ("level", "count", "shape"),
    [
        ("linear", 1, "--type linear"),
        ("linear", 3, "--type linear"),
        ("raid0", 2, "--type striped --stripes 2"),
        ("raid1", 3, "--type raid1 --mirrors 2"),
        ("raid5", 3, "--type raid5 --stripes 2"),
        ("raid6", 5, "--type raid6 --stripes 3"),
        ("raid10", 6, "--type raid10 --mirrors 1 --stripes 3"),
    ],
)
def test_a_level_uses_every_drive(level: str, count: int, shape: str) -> None:
    spec = pool(level, count)
    plan = hooks.backy_plan_create(pool=spec, drives=DRIVES[:count])
    assert f" {shape} --extents" in commands(plan)[-1]


def test_raid10_takes_pairs() -> None:
    with pytest.raises(InvalidRequest):
        hooks.backy_plan_create(pool=pool("raid10", 5), drives=DRIVES[:5])


def test_a_uuid_is_the_drives_and_the_pools_alone() -> None:
    form = re.compile(r"[0-9A-Za-z]{6}(-[0-9A-Za-z]{4}){5}-[0-9A-Za-z]{6}")
    different = {
        pv_uuid(guid, drive, attempt)
        for guid in (GUID, "x")
        for drive in (A, B)
        for attempt in (0, 1)
    }
    assert len(different) == 8 and all(form.fullmatch(uuid) for uuid in different)
    assert pv_uuid(GUID, A) == pv_uuid(GUID, A)


def test_open_activates_by_name_and_only_whole() -> None:
    pool_report = report(member(A, "active", 0), member(B, "active", 1), presence="stopped")
    assert opened(pool_report) == [
        "vgchange [<1>,<2>] --activate y --activationmode complete VG",
    ]


def test_open_degraded_first_writes_down_who_is_missing() -> None:
    pool_report = report(member(A, "active", 0), member(B, "missing", 1), presence="stopped")
    assert opened(pool_report) == [
        f"vgchange [<1>] --addtag backy-without={uuids(B)[0]} VG",
        "vgchange [<1>] --activate y --activationmode degraded VG",
    ]


def test_open_leaves_out_what_was_left_behind() -> None:
    pool_report = report(member(A, "active", 0), member(B, "stale", 1), presence="stopped")
    assert [step.split("]")[0] for step in opened(pool_report)] == [
        "vgchange [<1>",
        "vgchange [<1>",
    ]


def test_open_leaves_out_what_was_used_apart() -> None:
    pool_report = report(member(A, "active", 0), member(B, "diverged", 1), presence="stopped")
    assert len(opened(pool_report)) == 2


def copy_of(member_report: MemberReport, drive: DriveId) -> MemberReport:
    return member_report.model_copy(
        update={"drive": drive, "device": "sdz", "state": "diverged", "slot": None}
    )


def test_close_does_not_mark_a_member_whose_copy_is_there() -> None:
    second = member(B, "active", 1)
    pool_report = report(member(A, "active", 0), second, copy_of(second, C))
    assert [step for step in closed(pool_report) if "backy-without" in step] == []


def test_open_of_an_active_pool_is_done() -> None:
    assert opened(report(member(A, "active", 0), member(B, "active", 1))) == []


def test_open_takes_down_first_what_is_half_active() -> None:
    pool_report = report(member(A, "active", 0), member(B, "active", 1), presence="inactive")
    assert [step.split("--activate ")[1][0] for step in opened(pool_report)] == ["n", "y"]


def test_close_marks_a_member_that_left_meanwhile() -> None:
    pool_report = report(member(A, "active", 0), member(B, "missing", 1))
    assert closed(pool_report) == [
        f"vgchange [<1>] --addtag backy-without={uuids(B)[0]} VG",
        "vgchange [<1>] --activate n VG",
    ]


def test_teardown_only_deactivates_and_knows_absent_members_too() -> None:
    pool_report = report(member(A, "active", 0), member(C, "missing", 1))
    plan = hooks.backy_plan_teardown(pool=pool(), report=pool_report)
    assert commands(plan) == ["vgchange [<1>] --activate n VG"]
    assert stamped(plan) == set(uuids(A, B, C))


def test_without_any_member_device_mapper_is_cleared() -> None:
    pool_report = report(presence="active")
    (command,) = closed(pool_report)
    assert command.startswith(f"remove --retry {MAPPED} {MAPPED}_rimage_0 {MAPPED}_rmeta_0 ")


def test_groups_of_others_are_selected_by_uuid() -> None:
    pool_report = report(
        member(A, "active", 0), member(B, "active", 1), presence="stopped", foreign=True
    )
    plan = hooks.backy_plan_open(pool=pool(native_id=VG_UUID), report=pool_report)
    assert commands(plan)[0].endswith(f"--select vg_uuid={VG_UUID}")


def test_a_blank_drive_takes_a_missing_members_place() -> None:
    pool_report = report(member(A, "active", 0), member(B, "missing", 1))
    plan = hooks.backy_plan_add_drive(pool=pool(), report=pool_report, drive=C, replaces=None)
    assert commands(plan) == [
        f"pvcreate [<3>] --uuid {uuids(C)[0]} --norestorefile <3>",
        "vgextend [<1>,<3>] VG <3>",
        "lvconvert [<1>,<3>] --repair VG/pool <3>",
        "vgreduce [<1>,<3>] --removemissing VG",
        f"remove {PLACEHOLDERS}",
    ]
    assert [step.id for step in plan.steps if step.effect == "pivot"] == ["convert-volume"]
    before = plan.steps[:2]
    assert [text(action) for step in reversed(before) for action in step.undo] == [
        "vgreduce [<1>] --removemissing VG",
        "wipe <3>",
    ]
    assert stamped(plan) == set(uuids(A, B, C))


def test_a_wiped_member_comes_back_under_another_uuid() -> None:
    pool_report = report(member(A, "active", 0), member(B, "missing", 1))
    assert f"--uuid {pv_uuid(GUID, B, 1)} " in added(pool_report, B)[0]


def test_a_stale_member_returns_by_its_bitmap() -> None:
    pool_report = report(member(A, "active", 0), member(B, "stale", 1))
    assert added(pool_report, B) == [
        "vgextend [<1>,<2>] --restoremissing VG <2>",
        "lvchange [<1>,<2>] --refresh --activationmode partial VG/pool",
        f"vgchange [<1>,<2>] --deltag backy-without={uuids(B)[0]} VG",
        f"remove {PLACEHOLDERS}",
    ]


def test_a_present_member_is_replaced_and_let_go() -> None:
    pool_report = report(member(A, "active", 0), member(B, "active", 1))
    assert added(pool_report, C, B)[2:] == [
        "lvconvert [<1>,<2>,<3>] --replace <2> VG/pool <3>",
        "vgreduce [<1>,<2>,<3>] VG <2>",
    ]


def test_a_spare_left_by_an_earlier_attempt_is_used() -> None:
    pool_report = report(member(A, "active", 0), member(B, "missing", 1), member(C, "spare"))
    assert [step.split()[0] for step in added(pool_report)] == ["lvconvert", "vgreduce", "remove"]


@pytest.mark.parametrize("level", ["linear", "raid0"])
def test_without_copies_nothing_is_marked_as_left_behind(level: str) -> None:
    pool_report = report(member(A, "active", 0), member(B, "stale", 1), level=level)
    assert closed(pool_report) == ["vgchange [<1>,<2>] --activate n VG"]
