"""Refusals to open a pool by its report alone, whatever its backend."""

from __future__ import annotations

import pytest

from backy_core.plugins.report_rules import refuse_to_open
from backy_core.sdk.errors import Conflict
from backy_core.sdk.models import (
    BackendInfo,
    Capability,
    DriveId,
    Level,
    MemberReport,
    MemberState,
    PoolReport,
    PoolSpec,
    Presence,
)

A, B, C = (DriveId(serial=f"drive-{n}", size=1 << 30) for n in range(1, 4))
GUID = "3f0c1d52-8a94-4c0e-9a57-1b2c3d4e5f60"
POOL = PoolSpec(
    guid=GUID,
    label="shelf",
    level="mirror",
    filesystem="ext4",
    fs_uuid=GUID,
    mount_path="/mnt/backy/x",
    drives=(A, B),
)


def info(*capabilities: Capability) -> BackendInfo:
    return BackendInfo(
        name="toy",
        version="1",
        levels=(Level(name="mirror", min_drives=2, copies=None),),
        filesystems=("ext4",),
        capabilities=frozenset(capabilities),
        tools=(),
        signature_types=("toy_member",),
    )


def member(drive: DriveId | None, state: MemberState, handle: str | None = None) -> MemberReport:
    device = f"sd{drive.serial[-1]}" if drive else None
    return MemberReport(device=device, drive=drive, state=state, handle=handle)


def report(*members: MemberReport, presence: Presence = "stopped") -> PoolReport:
    return PoolReport(
        native_id=GUID,
        guid=GUID,
        level="mirror",
        presence=presence,
        health="active" if presence == "active" else "inactive",
        expected_members=2,
        members=members,
    )


def check(pool_report: PoolReport, *, degraded: bool = True, force: bool = False) -> None:
    refuse_to_open(info("degraded_open"), POOL, pool_report, degraded=degraded, force=force)


def test_a_whole_pool_is_opened() -> None:
    check(report(member(A, "active"), member(B, "active")), degraded=False)


@pytest.mark.parametrize("presence", ["active", "inactive", "stopped"])
def test_a_pool_with_diverged_members_is_opened_on_request_only(presence: Presence) -> None:
    pool_report = report(member(A, "active"), member(B, "diverged"), presence=presence)
    check(pool_report)
    with pytest.raises(Conflict, match=r"pool shelf were used separately.* drive-2 diverged"):
        check(pool_report, degraded=False)


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("presence", ["active", "inactive", "stopped"])
def test_nobody_chooses_between_a_member_and_its_copy(presence: Presence, force: bool) -> None:
    members = (member(A, "active", "1"), member(B, "active", "2"), member(C, "diverged", "2"))
    with pytest.raises(Conflict, match=r"drive-2 \(sd2\) and drive-3 \(sd3\) are the same member"):
        check(report(*members, presence=presence), force=force)


def test_an_incomplete_pool_is_opened_on_request_only() -> None:
    pool_report = report(member(A, "active"), member(None, "missing"))
    check(pool_report)
    with pytest.raises(Conflict, match="1 of the 2 members of pool shelf that were in use"):
        check(pool_report, degraded=False)


@pytest.mark.parametrize("state", ["failed", "stale"])
def test_a_member_that_was_out_before_is_not_waited_for(state: MemberState) -> None:
    check(report(member(A, "active"), member(B, state)), degraded=False)


@pytest.mark.parametrize("degraded", [False, True])
@pytest.mark.parametrize("state", ["missing", "stale", "failed"])
def test_a_backend_without_degraded_open_opens_complete_pools_only(
    state: MemberState, degraded: bool
) -> None:
    pool_report = report(member(A, "active"), member(None, state))
    with pytest.raises(Conflict, match="toy opens complete pools only, and pool shelf lacks 1"):
        refuse_to_open(info(), POOL, pool_report, degraded=degraded, force=False)


def test_a_running_pool_lacks_what_it_lacks() -> None:
    pool_report = report(member(A, "active"), member(None, "missing"), presence="active")
    refuse_to_open(info(), POOL, pool_report, degraded=False, force=False)


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("presence", ["inactive", "stopped"])
def test_a_pool_that_lacks_data_is_not_opened(presence: Presence, force: bool) -> None:
    members = (member(A, "stale"), member(B, "stale"), member(C, "active"))
    pool_report = report(*members, presence=presence).model_copy(update={"enough": False})
    with pytest.raises(Conflict, match="up to date: drive-1, drive-2 dropped out"):
        check(pool_report, force=force)
    unusable = pool_report.model_copy(update={"usable": False})
    check(unusable)  # refused for that, whatever is asked of it


def test_a_pool_that_runs_is_not_refused_for_what_it_lacks() -> None:
    pool_report = report(member(A, "active"), member(None, "missing"), presence="active")
    check(pool_report.model_copy(update={"enough": False}))
