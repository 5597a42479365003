"""The steps that the plans of several backends share."""

from __future__ import annotations

from backy_core.sdk import steps
from backy_core.sdk.models import DriveId, MemberReport, MemberState, PoolReport, SignatureMatch
from backy_core.sdk.plan import DriveRef, Exec, MemberIs, MountedAt, NotMounted, WipeMember

A, B = (DriveId(serial=f"drive-{n}", size=1 << 30) for n in (1, 2))
RUN, BACK = Exec(argv=("do",)), Exec(argv=("undo",))


def member(drive: DriveId | None, device: str | None, state: MemberState) -> MemberReport:
    return MemberReport(drive=drive, device=device, state=state)


def test_members_are_named_with_their_partitions() -> None:
    members = (
        *(member(A, "sda1", "stale"), member(B, "sdb", "active")),
        *(member(None, None, "active"), member(A, "sda", "spare")),
    )
    report = PoolReport(
        native_id="x",
        guid=None,
        level="mirror",
        presence="stopped",
        health="inactive",
        expected_members=2,
        members=members,
    )
    chosen = steps.members(report, "active", "stale")
    assert chosen == (DriveRef(drive=A, part=1), DriveRef(drive=B))


def test_a_mount_is_skipped_if_it_is_there_and_is_rolled_back() -> None:
    step = steps.mount("/mnt/x", RUN, BACK, steps.ACTIVE, fs_uuid="u", read_only=True)
    assert step.title == "Mounting at /mnt/x read-only" and step.if_satisfied == "skip"
    assert step.expect == (MountedAt(path="/mnt/x", fs_uuid="u", read_only=True), steps.ACTIVE)
    assert (step.undo, step.undo_expect) == ((BACK,), (NotMounted(path="/mnt/x"),))


def test_a_pivot_has_no_roll_back() -> None:
    step = steps.pivot("take", "Taking it", RUN, steps.joined(A), retry_s=5)
    assert (step.effect, step.undo, step.expect) == ("pivot", (), (steps.joined(A),))


def test_a_rejected_member_is_wiped_by_its_stamp_alone() -> None:
    stamp, stale = SignatureMatch(type="toy", uuid="u"), MemberIs(drive=A, states=("stale",))
    step = steps.wipe_rejected(A, stale, stamp, retry_s=5)
    assert step.run == WipeMember(drive=A, bears=(stamp,))
    assert (step.only_if, step.effect) == ((stale,), "destroys")
