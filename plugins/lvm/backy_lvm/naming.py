"""Names of a pool and its members. Pure."""

from __future__ import annotations

from typing import NamedTuple

from backy_core.sdk.models import DriveId, PoolReport, PoolSpec, SignatureMatch
from backy_core.sdk.naming import pool_name
from backy_lvm import argv

SIGNATURE = "LVM2_member"


class Named(NamedTuple):
    """A pool for argument lists. ``group`` and ``volume`` are names, ``selected`` what tells the
    group apart for commands that can select: LVM refuses a name that two groups have. ``here``
    are the connected members, ``good`` those in good standing."""

    group: str
    volume: str
    selected: tuple[str, ...]
    here: tuple[DriveId, ...]
    good: tuple[DriveId, ...]
    slots: int

    @property
    def path(self) -> str:
        return f"{self.group}/{self.volume}"

    @classmethod
    def of(cls, pool: PoolSpec, report: PoolReport) -> Named:
        if report.guid:
            group, volume = pool_name(report.guid), argv.VOLUME
            selected: tuple[str, ...] = (group,)
        else:
            group, _, volume = (report.name or "").partition("/")
            selected = ("--select", f"vg_uuid={report.native_id}")
        present = [
            (member.drive, member.in_place)
            for member in report.members
            if member.drive and member.device
        ]
        return cls(
            group=group,
            volume=volume,
            selected=selected,
            here=tuple(drive for drive, _ in present),
            good=tuple(drive for drive, in_place in present if in_place),
            slots=max(len(pool.drives), report.expected_members),
        )


def stamp(uuid: str) -> SignatureMatch:
    return SignatureMatch(type=SIGNATURE, uuid=uuid)


def stamps(pool: PoolSpec, report: PoolReport | None = None) -> tuple[SignatureMatch, ...]:
    """How every member is recognised: those seen by the UUID they have, and those remembered by
    the one they were made with."""
    handles = [member.handle for member in report.members if member.handle] if report else []
    new_uuids = [argv.pv_uuid(pool.guid, drive) for drive in pool.drives]
    return tuple(map(stamp, dict.fromkeys((*handles, *new_uuids))))
