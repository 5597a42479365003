"""How an array's members are recognised and named. Pure."""

from __future__ import annotations

from backy_core.sdk.models import DriveId, MemberReport, PoolSpec, SignatureMatch
from backy_core.sdk.plan import DriveRef

SIGNATURE = "linux_raid_member"


def stamp(pool: PoolSpec) -> SignatureMatch:
    return SignatureMatch(type=SIGNATURE, uuid=pool.identity.lower())


def ref(drive: DriveId, member: MemberReport) -> DriveRef:
    return DriveRef(drive=drive, part=member.part)
