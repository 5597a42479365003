"""Plans by situation."""

from __future__ import annotations

import pytest
from backy_zfs import hooks

from backy_core.plugins.plan_rules import validate_plan
from backy_core.sdk.errors import Conflict, DriveNotEmpty
from backy_core.sdk.models import DriveId, MemberReport, MemberState, PoolReport, PoolSpec
from backy_core.sdk.plan import (
    Arg,
    BackendPlan,
    Blank,
    DriveRef,
    Exec,
    MountedAt,
    PlanKind,
    PoolIs,
    Step,
    WipeMember,
)

GUID = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
NAME = f"backy-{GUID}"
DRIVES = tuple(DriveId(serial=f"drive-scsi{n}", size=256 << 20) for n in range(1, 6))
A, B, C, D, E = DRIVES


def pool(level: str = "mirror", native_id: str | None = None) -> PoolSpec:
    return PoolSpec(
        guid=GUID,
        native_id=native_id,
        label="-rf 'quoted'",
        level=level,
        filesystem="zfs",
        fs_uuid=None,
        mount_path="/mnt/a b",
        drives=DRIVES[:2],
    )


def member(
    drive: DriveId | None, state: MemberState, handle: str | None, slot: int | None = 0
) -> MemberReport:
    device = "sda" if drive else None
    return MemberReport(device=device, drive=drive, state=state, handle=handle, slot=slot)


def report(*members: MemberReport, presence: str = "active", **more: object) -> PoolReport:
    return PoolReport.model_validate(
        {
            "native_id": GUID,
            "guid": GUID,
            "name": NAME,
            "level": "mirror",
            "presence": presence,
            "health": "active",
            "expected_members": 2,
            "members": [member.model_dump() for member in members],
        }
        | more
    )


def word(arg: Arg) -> str:
    if isinstance(arg, DriveRef):
        assert arg.form == "by-id"
        return f"<{arg.drive.serial[-1]}>"
    assert isinstance(arg, str)
    return arg


def command(step: Step) -> str:
    if isinstance(step.run, WipeMember):
        return f"wipe <{step.run.drive.serial[-1]}>"
    assert isinstance(step.run, Exec)
    return " ".join(map(word, step.run.argv))


def commands(kind: PlanKind, plan: BackendPlan) -> list[str]:
    """The plan's commands, after the checks that hold for every plan."""
    validate_plan(hooks.backy_backend(), kind, plan, DRIVES)
    assert BackendPlan.model_validate_json(plan.model_dump_json()) == plan
    assert [stamp.type for stamp in plan.stamps] == ["zfs_member"]
    assert plan.delivers == "filesystem"
    return [command(step) for step in plan.steps]


def opened(pool: PoolSpec, report: PoolReport, force: bool = False) -> BackendPlan:
    return hooks.backy_plan_open(pool=pool, report=report, force=force)


def test_create_ends_mounted_and_is_undone_by_destroying_and_wiping() -> None:
    plan = hooks.backy_plan_create(pool=pool(), drives=(A, B))
    assert commands("create", plan) == [
        "zpool create -o cachefile=none -o ashift=12 -O canmount=noauto -O mountpoint=none"
        f" -O setuid=off -O devices=off -O org.backy:guid={GUID} {NAME} mirror <1> <2>",
        f"zfs set mountpoint=/mnt/a b {NAME}",
        f"zfs mount -o nosuid,nodev {NAME}",
    ]
    create, _, mount = plan.steps
    destroy, *wipes = create.undo
    assert isinstance(destroy, Exec) and destroy.argv == ("zpool", "destroy", NAME)
    assert [wipe.drive for wipe in wipes if isinstance(wipe, WipeMember)] == [A, B]
    assert mount.expect == (MountedAt(path="/mnt/a b"), PoolIs(presence="active"))
    assert {match.type for match in plan.enclosing} == {"gpt", "PMBR"}


@pytest.mark.parametrize("level", [level.name for level in hooks.backy_backend().levels])
def test_every_level_names_its_vdev(level: str) -> None:
    count = next(each.min_drives for each in hooks.backy_backend().levels if each.name == level)
    plan = hooks.backy_plan_create(pool=pool(level), drives=DRIVES[:count])
    words = command(plan.steps[0]).split(f"{NAME} ")[1].split()
    assert words[:-count] == ([] if level in ("single", "stripe") else [level])


def test_drives_of_different_sizes_need_force() -> None:
    larger = B.model_copy(update={"size": B.size + 4096})
    plan = hooks.backy_plan_create(pool=pool(), drives=(A, larger))
    assert command(plan.steps[0]).startswith("zpool create -f -o cachefile=none")


def test_single_is_one_drive() -> None:
    (single,) = [level for level in hooks.backy_backend().levels if level.name == "single"]
    assert (single.min_drives, single.max_drives) == (1, 1)


def test_open_imports_by_name_without_mounting() -> None:
    pool_report = report(member(A, "active", "1"), member(B, "active", "2"), presence="stopped")
    plan = opened(pool=pool(native_id=GUID), report=pool_report)
    first, second, third, *rest = commands("open", plan)
    assert first == f"zpool import -N -d /dev/disk/by-id -o cachefile=none {NAME}"
    assert second.startswith("zpool import -f -o nosuid,nodev")
    assert plan.steps[1].if_satisfied == "skip"
    assert third == f"zfs unmount {NAME}", "zfs-fuse mounts what was mounted at a power cut"
    assert rest == [f"zfs set mountpoint=/mnt/a b {NAME}", f"zfs mount -o nosuid,nodev {NAME}"]


def test_a_foreign_pool_is_imported_by_its_guid_and_kept_from_mounting_itself() -> None:
    foreign = {"native_id": "4711", "guid": None, "name": "tank"}
    pool_report = report(member(A, "active", "1"), presence="stopped", **foreign)
    plan = opened(pool=pool(native_id="4711"), report=pool_report)
    lines = commands("open", plan)
    assert lines[0].endswith("cachefile=none 4711")
    assert lines[3:6] == [
        f"zfs set {option} tank" for option in ("canmount=noauto", "setuid=off", "devices=off")
    ]
    assert plan.stamps[0].uuid == "4711"
    undone = [undo for step in plan.steps[:2] for undo in step.undo]
    assert [undo.argv for undo in undone if isinstance(undo, Exec)] == [
        ("zpool", "export", "tank")
    ] * 2


def test_a_foreign_pool_that_is_imported_is_mounted_by_its_name() -> None:
    pool_report = report(member(A, "active", "1"), native_id="4711", guid=None, name="tank")
    plan = opened(pool=pool(native_id="4711"), report=pool_report)
    assert all(line.endswith("tank") for line in commands("open", plan))


def test_halves_used_apart_are_never_opened_together() -> None:
    pool_report = report(member(A, "active", None), member(B, "diverged", None), presence="stopped")
    with pytest.raises(Conflict, match="separately"):
        opened(pool=pool(), report=pool_report)


DAMAGED = "ZFS cannot read the newest state of the pool"


def damaged(*more: MemberReport) -> PoolReport:
    """A zpool at rest whose newest state cannot be read."""
    members = (member(A, "active", "1"), member(B, "active", "2"), *more)
    return report(*members, presence="stopped", needs_force=DAMAGED)


def test_by_force_an_earlier_state_is_imported_without_writing() -> None:
    plan = opened(pool(), damaged(), force=True)
    assert commands("open", plan) == [
        f"zpool import -N -F -o readonly=on -d /dev/disk/by-id -o cachefile=none {NAME}",
        f"mount -t zfs -o zfsutil,ro,nosuid,nodev {NAME} /mnt/a b",
    ]
    imported, mounted = plan.steps
    (export,) = imported.undo
    assert isinstance(export, Exec) and export.argv == ("zpool", "export", NAME)
    assert {step.effect for step in plan.steps} == {"reversible"}
    assert MountedAt(path="/mnt/a b", read_only=True) in mounted.expect
    with pytest.raises(Conflict, match="separately"):
        opened(pool(), damaged(member(C, "diverged", None)), force=True)


def test_the_ordinary_open_after_that_makes_it_last() -> None:
    plan = opened(pool(), damaged())
    first, second, *_ = commands("open", plan)
    assert first == f"zpool import -N -F -d /dev/disk/by-id -o cachefile=none {NAME}"
    assert second.startswith("zpool import -f -F -o nosuid,nodev")
    assert [step.effect for step in plan.steps[:2]] == ["destroys"] * 2
    assert "for good" in plan.steps[0].title


def test_close_exports_and_teardown_destroys() -> None:
    pool_report = report(member(A, "active", "1"))
    close = hooks.backy_plan_close(pool=pool(), report=pool_report)
    assert commands("close", close) == [f"zfs set mountpoint=none {NAME}", f"zpool export {NAME}"]
    teardown = hooks.backy_plan_teardown(pool=pool(), report=pool_report)
    assert commands("teardown", teardown) == [f"zpool destroy {NAME}"]


def add(pool_report: PoolReport, drive: DriveId, replaces: DriveId | None = None) -> list[str]:
    plan = hooks.backy_plan_add_drive(
        pool=pool(), report=pool_report, drive=drive, replaces=replaces
    )
    return commands("add", plan)


def test_adding_drives() -> None:
    """A member that is gone goes by its guid, one that is here by its path."""
    single = member(A, "active", None)
    assert add(report(single, member(None, "missing", "2")), C) == [f"zpool replace {NAME} 2 <3>"]
    assert add(report(single, member(B, "stale", "2")), B) == [f"zpool online {NAME} 2"]
    assert add(report(single, member(B, "stale", None)), B) == [f"zpool online {NAME} <2>"]
    assert add(report(single, member(B, "active", None)), C, A) == [f"zpool replace {NAME} <1> <3>"]
    assert add(report(single, member(B, "failed", None)), B) == [
        f"zpool online {NAME} <2>",
        f"zpool offline {NAME} <2>",
        "wipe <2>",
        f"zpool replace {NAME} <2> <2>",
    ]
    left = member(B, "stale", None, slot=None)
    with pytest.raises(DriveNotEmpty):
        add(report(single, member(None, "missing", "3"), left), B)


def test_a_drive_the_pool_refuses_is_blank_again() -> None:
    pool_report = report(member(A, "active", None), member(None, "missing", "2"))
    plan = hooks.backy_plan_add_drive(pool=pool(), report=pool_report, drive=C, replaces=None)
    (step,) = plan.steps
    (wipe,) = step.undo
    assert isinstance(wipe, WipeMember) and wipe.drive == C
    assert step.undo_expect == (Blank(on=DriveRef(drive=C)),)


def test_a_complete_pool_takes_no_drive_unasked() -> None:
    with pytest.raises(Conflict, match="in use"):
        add(report(member(A, "active", "1"), member(B, "active", "2")), C)
