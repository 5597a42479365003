"""What reports say of themselves."""

from __future__ import annotations

from typing import get_args

import pytest

from backy_core.sdk.models import DriveId, MemberReport, MemberState, PoolReport, Presence

ONE, TWO = (DriveId(serial=serial, size=1) for serial in ("one", "two"))
GONE = MemberReport(device=None, state="missing")


def _report(*members: MemberReport, presence: Presence = "active") -> PoolReport:
    return PoolReport(
        native_id="n",
        guid=None,
        level="raid1",
        presence=presence,
        health="active",
        expected_members=2,
        members=members,
    )


def test_members_are_found_by_their_drives() -> None:
    first, second = (MemberReport(device=None, drive=it, state="active") for it in (ONE, TWO))
    report = _report(second, GONE, first)
    assert report.drives == (TWO, ONE)
    assert report.member(ONE) is first and report.member(TWO) is second
    assert report.member(DriveId(serial="three", size=1)) is None
    assert report.member(ONE.model_copy(update={"size": 2})) is None, "another drive"


def test_before_the_core_filled_them_in_no_drive_is_known() -> None:
    assert _report(GONE).drives == ()


def test_which_members_are_in_place() -> None:
    states = get_args(MemberState)
    in_place = {it for it in states if MemberReport(device=None, state=it).in_place}
    assert in_place == {"active", "rebuilding", "spare"}


def test_when_a_pool_is_assembled() -> None:
    presences = get_args(Presence)
    assert {it for it in presences if _report(presence=it).assembled} == {"inactive", "active"}


@pytest.mark.parametrize(
    ("device", "number"),
    [
        ("sda", None),
        ("sda1", 1),
        ("ubdb12", 12),
        ("nvme0n1", None),
        ("nvme0n1p3", 3),
        ("mmcblk0", None),
        ("mmcblk0p1", 1),
        ("loop0", None),
        ("rbd0", None),
        ("rbd0p2", 2),
        ("pmem0", None),
        ("", None),
    ],
)
def test_the_number_of_a_partition(device: str, number: int | None) -> None:
    assert MemberReport(device=device, state="active").part == number
