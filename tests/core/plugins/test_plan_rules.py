"""Rules for the content of a backend's plan."""

from __future__ import annotations

import math
from typing import Any

import pytest

from backy_core.plugins.plan_rules import validate_plan
from backy_core.sdk.errors import PlanRefused
from backy_core.sdk.models import BackendInfo, DriveId, Level, SignatureMatch, Tool
from backy_core.sdk.plan import (
    Arg,
    BackendPlan,
    Bears,
    Blank,
    DriveRef,
    Exec,
    Free,
    Join,
    MakeDir,
    MemberIs,
    PlanKind,
    PoolDevice,
    PoolIs,
    Step,
    WipeMember,
    WipeSignatures,
)

OURS = DriveId(serial="ours", size=100)
FOREIGN = DriveId(serial="foreign", size=100)
INFO = BackendInfo(
    name="toy",
    version="1",
    levels=(Level(name="single", min_drives=1),),
    filesystems=("ext4",),
    tools=(Tool(name="toyadm", package="toy-tools"),),
    signature_types=("toy_member",),
)
STAMP = SignatureMatch(type="toy_member", uuid="3fa85f64-5717-4562-b3fc-2c963f66afa6")
UNDO = (WipeMember(drive=OURS, bears=(STAMP,)),)


def step(*argv: Arg, **changes: Any) -> Step:
    run = Exec(argv=argv or ("toyadm", DriveRef(drive=OURS)))
    return Step.model_validate({"id": "s", "title": "S", "run": run, "undo": UNDO, **changes})


def check(*steps: Step, kind: PlanKind = "create", **changes: Any) -> None:
    plan = BackendPlan.model_validate({"steps": steps, "stamps": (STAMP,), **changes})
    validate_plan(INFO, kind, plan, [OURS])


def test_a_plain_plan_is_accepted() -> None:
    check(
        step(
            "toyadm",
            "--create",
            "/dev/md/backy-3fa85f64",
            "--search=/dev/disk/by-id",
            "--uuid=3fa85f64-5717-4562-b3fc-2c963f66afa6",
            DriveRef(drive=OURS, form="by-id"),
            PoolDevice(),
            Join(sep="=", parts=("member", DriveRef(drive=OURS, part=1))),
            expect=(PoolIs(presence="active"), Blank(on=PoolDevice())),
        )
    )


@pytest.mark.parametrize(
    "text",
    [
        "/dev/sda", "/dev/sdab3", "sda", "sdz1", "/dev/vda", "/dev/nvme0n1", "/dev/nvme0n1p2",
        "nvme0n1", "/dev/md127", "md0", "/dev/md0p1", "/dev/dm-3", "dm-0", "/dev/loop7",
        "/dev/mmcblk0p1", "/dev/ubda", "ubdb", "/dev/block/8:0", "/dev/disk/by-id/ata-X",
        "/dev/disk/by-partuuid/x", "/dev/disk/by-diskseq/3", "--add=/dev/sdb", "a:/dev/sdb:b",
        "/sys/block/sda/size", "/sys/class/block/sda", "/dev/xvda", "/dev/zd0", "/dev/nbd1",
    ],
)  # fmt: skip
def test_a_device_named_by_text_is_refused(text: str) -> None:
    with pytest.raises(PlanRefused, match="names a device"):
        check(step("toyadm", text))


@pytest.mark.parametrize(
    "text",
    ["/dev/md/backy-1", "/dev/mapper/backy-x", "/dev/null", "/dev/sdcard", "sda-backup",
     "--homehost=any", "--level=1", "raid1", "/dev/disk/by-id", "mdadm", "backy-md0"],
)  # fmt: skip
def test_text_that_names_no_device_is_accepted(text: str) -> None:
    check(step("toyadm", text))


def test_a_name_put_together_from_parts_is_refused() -> None:
    with pytest.raises(PlanRefused, match="names a device"):
        check(step("toyadm", Join(sep="/", parts=("", "dev", "sda"))))
    nested = Join(sep="", parts=("/dev/", Join(sep="", parts=("s", "da"))))
    with pytest.raises(PlanRefused, match="names a device"):
        check(step("toyadm", nested))


def test_an_argument_with_a_nul_is_refused() -> None:
    with pytest.raises(PlanRefused, match="NUL"):
        check(step("toyadm", "a\0b"))


@pytest.mark.parametrize(
    "argv", [(), ("mkfs.ext4",), ("/sbin/toyadm",), (DriveRef(drive=OURS),), ("",)]
)
def test_an_undeclared_program_is_refused(argv: tuple[Arg, ...]) -> None:
    bad = step().model_copy(update={"run": Exec(argv=argv)})
    with pytest.raises(PlanRefused, match="did not declare"):
        check(bad)


def test_an_undeclared_program_in_an_undo_is_refused() -> None:
    with pytest.raises(PlanRefused, match=r"'rm'.*did not declare"):
        check(step(undo=(Exec(argv=("rm", "-rf")),)))


@pytest.mark.parametrize("action", [MakeDir(path="/x"), WipeSignatures()])
def test_the_cores_actions_are_refused(action: MakeDir | WipeSignatures) -> None:
    with pytest.raises(PlanRefused, match=action.do):
        check(step(run=action))
    with pytest.raises(PlanRefused, match=action.do):
        check(step(undo=(action,)))


IN_ARGV = Exec(argv=("toyadm", Join(sep="=", parts=("x", DriveRef(drive=FOREIGN)))))
ON = DriveRef(drive=FOREIGN)


@pytest.mark.parametrize(
    "changes",
    [
        {"run": IN_ARGV},
        {"run": WipeMember(drive=FOREIGN, bears=())},
        {"undo": (IN_ARGV,)},
        {"undo": (WipeMember(drive=FOREIGN, bears=()),)},
        {"expect": (MemberIs(drive=FOREIGN, states=("active",)),)},
        {"expect": (Bears(on=ON, type="toy_member"),)},
        {"undo_expect": (Blank(on=ON),)},
        {"undo_expect": (Free(on=ON),)},
    ],
)
def test_a_foreign_drive_is_refused_wherever_it_is_named(changes: dict[str, Any]) -> None:
    with pytest.raises(PlanRefused, match="Step s names drive foreign"):
        check(step(**changes))


def test_a_foreign_drive_in_the_goal_is_refused() -> None:
    with pytest.raises(PlanRefused, match="The goal names drive foreign"):
        check(step(), goal=(Blank(on=ON),))


def test_a_drive_that_only_shares_the_serial_is_foreign() -> None:
    twin = OURS.model_copy(update={"size": 101})
    with pytest.raises(PlanRefused, match="names drive ours"):
        check(step("toyadm", DriveRef(drive=twin)))


def test_a_creation_needs_undos() -> None:
    with pytest.raises(PlanRefused, match="cannot be undone"):
        check(step(undo=()))
    check(step(undo=(), effect="none"))
    check(step(undo=()), kind="open")


def test_ids_are_there_and_once() -> None:
    with pytest.raises(PlanRefused, match="Two steps have the id s"):
        check(step(), step())
    with pytest.raises(PlanRefused, match="no id"):
        check(step(id=""))


@pytest.mark.parametrize("field", ["retry_s", "expect_s", "stable_s", "soft_timeout_s"])
@pytest.mark.parametrize("time", [-1, math.inf, math.nan])
def test_times_are_finite(field: str, time: float) -> None:
    with pytest.raises(PlanRefused, match="negative or endless"):
        check(step(**{field: time}))


def test_a_command_needs_a_status_that_means_success() -> None:
    with pytest.raises(PlanRefused, match="no exit status"):
        check(step(run=Exec(argv=("toyadm",), ok_codes=())))


def test_final_words_are_words() -> None:
    check(step(run=Exec(argv=("toyadm",), final_words=("usage:",))))
    with pytest.raises(PlanRefused, match="empty final words"):
        check(step(run=Exec(argv=("toyadm",), final_words=(" ",))))


def test_adding_has_a_pivot_and_a_goal_and_nothing_else_has_a_pivot() -> None:
    pivot = step(effect="pivot")
    goal = [MemberIs(drive=OURS, states=("active",))]
    check(step(id="before"), pivot, step(id="t", effect="pivot"), kind="add", goal=goal)
    with pytest.raises(PlanRefused, match="needs a goal"):
        check(pivot, kind="add")
    with pytest.raises(PlanRefused, match="needs a pivot"):
        check(step(), kind="add")
    with pytest.raises(PlanRefused, match="is a pivot"):
        check(pivot, kind="create")


def test_a_creation_delivers_what_the_backend_says() -> None:
    with pytest.raises(PlanRefused, match="delivers filesystem"):
        check(step(), delivers="filesystem")


@pytest.mark.parametrize("kind", ["create", "open", "close", "teardown"])
@pytest.mark.parametrize("named", [{}, {"uuid": "", "label": ""}])
def test_a_stamp_that_every_pool_matches_is_refused(kind: PlanKind, named: dict[str, str]) -> None:
    stamp = SignatureMatch(type="toy_member", **named)
    with pytest.raises(PlanRefused, match="neither uuid nor label"):
        check(step(undo=(), effect="none"), kind=kind, stamps=(stamp,))


def test_a_creation_has_stamps() -> None:
    with pytest.raises(PlanRefused, match="has no stamps"):
        check(step(undo=(), effect="none"), stamps=())


def test_a_stamp_has_a_declared_type() -> None:
    with pytest.raises(PlanRefused, match="type ext4, which toy did not declare"):
        check(step(), stamps=(STAMP, SignatureMatch(type="ext4", uuid=STAMP.uuid)))


def test_what_lies_around_a_stamp_is_a_partition_table() -> None:
    check(step(), enclosing=(SignatureMatch(type="gpt"), SignatureMatch(type="PMBR")))
    with pytest.raises(PlanRefused, match="names ext4, which is not a partition table"):
        check(step(), enclosing=(SignatureMatch(type="ext4"),))


@pytest.mark.parametrize("where", ["run", "undo"])
def test_a_step_wipes_nothing_but_stamps(where: str) -> None:
    wipe = WipeMember(drive=OURS, bears=(STAMP, SignatureMatch(type="ext4")))
    changes = {"run": wipe} if where == "run" else {"undo": (wipe,)}
    with pytest.raises(PlanRefused, match="may wipe a drive that holds ext4"):
        check(step(**changes))
