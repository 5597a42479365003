"""How members are recognised: by the UUID of their physical volume. Pure."""

from __future__ import annotations

from backy_core.sdk.models import DriveId, PoolReport, PoolSpec, SignatureMatch
from backy_core.sdk.naming import derived_id
from backy_lvm.naming import SIGNATURE

_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def pv_uuid(guid: str, drive: DriveId, attempt: int = 0) -> str:
    """The UUID a drive gets as a member, in LVM's own form: known before the drive is touched.

    ``attempt`` counts up when the pool remembers a member of that UUID already: LVM would take
    the blank drive for that member.
    """
    digits = derived_id(_LETTERS, 32, guid, drive.serial, str(attempt))
    middle = (digits[at : at + 4] for at in range(6, 26, 4))
    return "-".join((digits[:6], *middle, digits[26:]))


def unused_uuid(pool: PoolSpec, report: PoolReport, drive: DriveId) -> str:
    """A UUID that the group does not remember: it would take the drive for that old member."""
    taken = {member.handle for member in report.members}
    uuids = (pv_uuid(pool.guid, drive, attempt) for attempt in range(len(taken) + 1))
    return next(uuid for uuid in uuids if uuid not in taken)


def stamp(uuid: str) -> SignatureMatch:
    return SignatureMatch(type=SIGNATURE, uuid=uuid)


def stamps(pool: PoolSpec, report: PoolReport | None = None) -> tuple[SignatureMatch, ...]:
    """How every member is recognised: those seen by the UUID they have, and those remembered by
    the one they were made with."""
    handles = [member.handle for member in report.members if member.handle] if report else []
    new_uuids = [pv_uuid(pool.guid, drive) for drive in pool.drives]
    return tuple(map(stamp, dict.fromkeys((*handles, *new_uuids))))
