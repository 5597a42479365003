"""The conditions of a pool that people should know of, read from one report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from backy_core.sdk.events import PoolChange
from backy_core.sdk.models import MemberReport, PoolReport
from backy_notify.settings import EventName

ConditionName = Literal["absent", "failed", "degraded", "drive_lost", "diverged"]
EVENT_OF: Mapping[ConditionName, EventName] = {
    "absent": "degraded",
    "failed": "degraded",
    "degraded": "degraded",
    "drive_lost": "drive_lost",
    "diverged": "diverged",
}
_SYNCING = ("resync", "recovering")
_ROUTINE = ("active", "check", "reshape")


class Condition(NamedTuple):
    """``subject`` is a drive's serial; empty for the pool as a whole."""

    name: ConditionName
    subject: str = ""


def counts(change: PoolChange) -> bool:
    """Whether the pool should work now: a shelved one may be incomplete, and during an operation
    it may be in any state."""
    if change.pool is None or change.pool.busy:
        return False
    running = change.after is not None and change.after.presence == "active"
    return running or change.pool.should_be_mounted


def standing(change: PoolChange) -> frozenset[Condition]:
    """The conditions that the newer report shows."""
    report, pool = change.after, change.pool
    if report is None or pool is None:
        return frozenset({Condition("absent")})
    members = members_by_serial(report)
    conditions = set()
    for drive in pool.drives:
        member = members.get(drive.serial)
        if member is not None and member.state == "diverged":
            conditions.add(Condition("diverged", drive.serial))
        elif member is None or not member.in_place:
            conditions.add(Condition("drive_lost", drive.serial))
    if report.health == "failed":
        conditions.add(Condition("failed"))
    elif lacks_members(report):
        conditions.add(Condition("degraded"))
    return frozenset(conditions)


def members_by_serial(report: PoolReport) -> dict[str, MemberReport]:
    return {member.drive.serial: member for member in report.members if member.drive}


def working_members(report: PoolReport) -> int:
    return sum(member.in_use for member in report.members)


def lacks_members(report: PoolReport) -> bool:
    """Whether a place is empty. One that is being filled counts as taken."""
    return report.health == "degraded" or working_members(report) < report.expected_members


def is_syncing(change: PoolChange) -> bool:
    return change.after is not None and change.after.health in _SYNCING


def is_whole(change: PoolChange) -> bool:
    """Whether the pool runs with all its members, perhaps during a routine check."""
    report = change.after
    return (
        report is not None
        and report.presence == "active"
        and report.health in _ROUTINE
        and not report.degraded
        and not lacks_members(report)
    )
