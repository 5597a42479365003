"""Tell a pool's own drives from copies that only have its identity.

A drive copied with dd, or a clone of a whole set, has the same stamps as the original. The pool's
own drives are those it remembers and those it runs on; every other one is a copy that somebody
made on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from backy_core.machine.inventory import Drive, is_same_drive
from backy_core.machine.snapshot import Snapshot
from backy_core.sdk.models import DriveId, PoolReport, SignatureMatch
from backy_core.sdk.plan import Plan
from backy_core.store.metadata import PoolEntry


class Members(NamedTuple):
    """``own`` drives end with the pool; ``copies`` have its identity and are left alone."""

    own: tuple[Drive, ...]
    copies: tuple[Drive, ...]


class Consent(NamedTuple):
    """The caller's consent to destroy more than the pool: content that an interrupted creation
    did not make, copies of members by serial, other content of the container by name."""

    wipe: bool = False
    copies: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()

    def subject(self) -> dict[str, Any]:
        """As the journal keeps it."""
        return {
            "wipe": self.wipe,
            "wipeCopies": sorted(self.copies),
            "destroyOthers": sorted(self.others),
        }

    @classmethod
    def of_subject(cls, subject: Mapping[str, Any]) -> Consent:
        copies, other_content = subject.get("wipeCopies", ()), subject.get("destroyOthers", ())
        return cls(bool(subject.get("wipe")), frozenset(copies), frozenset(other_content))


NOTHING = Consent()


class Scope(NamedTuple):
    """The drives that a teardown may treat as the pool's own, beside the remembered ones.

    ``begun``: serials of those it has begun to wipe. None before that: then the drives that the
    pool runs on count, whoever put them in. Later the kernel may run a copy of the pool.
    """

    consent: Consent
    begun: frozenset[str] | None = None

    def narrowed(self, plan: Plan) -> Scope:
        """As it is once ``plan`` runs."""
        drives = frozenset(drive.serial for drive in plan.drives)
        return self._replace(begun=drives | (self.begun or frozenset()))


def members_of(
    entry: PoolEntry,
    report: PoolReport | None,
    stamps: tuple[SignatureMatch, ...],
    snapshot: Snapshot,
    scope: Scope,
) -> Members:
    """Every connected drive that is in the pool or has its stamp."""
    reported = set(report.drives) if report else set()
    bearing = [
        drive
        for drive in snapshot.drives
        if drive.id in reported
        or any(
            signature.matches(stamp)
            for signature in snapshot.signatures_of(drive)
            for stamp in stamps
        )
    ]
    running = _running_on(entry, report) if scope.begun is None else frozenset()
    named = scope.consent.copies | (scope.begun or frozenset())
    own = [
        drive
        for drive in bearing
        if remembers(entry, drive.id) or drive.id in running or drive.id.serial in named
    ]
    return Members(tuple(own), tuple(drive for drive in bearing if drive not in own))


def remembers(entry: PoolEntry, drive: DriveId) -> bool:
    """Whether this very drive is a remembered member; old entries know serials alone."""
    namesakes = [identity for identity in entry.drive_ids if identity.serial == drive.serial]
    if not namesakes:
        return drive.serial in entry.drive_serials
    return any(is_same_drive(drive, identity) for identity in namesakes)


def remembered(entry: PoolEntry) -> tuple[DriveId, ...]:
    """Every remembered member; size 0 where only its serial is known."""
    remembered_serials = {drive.serial for drive in entry.drive_ids}
    legacy = (DriveId(serial=serial, size=0) for serial in entry.drive_serials)
    return (
        *entry.drive_ids,
        *(drive for drive in legacy if drive.serial not in remembered_serials),
    )


def without(report: PoolReport, drives: tuple[Drive, ...]) -> PoolReport:
    """The report as if ``drives`` were not connected."""
    gone = {drive.id for drive in drives}
    if not gone:
        return report
    members = tuple(member for member in report.members if member.drive not in gone)
    return report.model_copy(update={"members": members})


def _running_on(entry: PoolEntry, report: PoolReport | None) -> frozenset[DriveId]:
    """Drives that the kernel uses now, except copies of remembered members. For a stopped pool
    there are only superblocks, which copies have too."""
    if report is None or report.presence != "active":
        return frozenset()
    taken = {
        member.handle
        for member in report.members
        if member.drive and remembers(entry, member.drive)
    }
    return frozenset(
        member.drive
        for member in report.members
        if member.drive and member.in_place and member.handle not in taken - {None}
    )
