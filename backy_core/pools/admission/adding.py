"""Guards of adding a drive to a pool. They read and refuse, and change nothing.

The pool comes first: one that has failed takes no drive, and one that rebuilds keeps every member
it has. Then the drive: whose it is, what is on it, and whether it fits.
"""

from __future__ import annotations

from typing import NamedTuple

from backy_core.machine.inventory import Drive
from backy_core.machine.snapshot import Snapshot
from backy_core.pools.admission import geometry, guards, sharing
from backy_core.pools.core import Core
from backy_core.sdk.advice import Advice, Hint, Verb, advise
from backy_core.sdk.errors import BackyError, Conflict, DriveNotEmpty, InvalidRequest
from backy_core.sdk.models import DriveId, MemberReport, PoolReport, SignatureMatch
from backy_core.store.metadata import PoolEntry

_MOVING = ("recovering", "resync", "reshape")


class AddRequest(NamedTuple):
    """A drive to add, by serial. ``replaces``: a member's serial. ``wipe``: consent to erase it."""

    serial: str
    replaces: str | None = None
    wipe: bool = False


class AddCase(NamedTuple):
    """A request with all that it is judged by."""

    core: Core
    entry: PoolEntry
    report: PoolReport
    drive: Drive
    snapshot: Snapshot
    request: AddRequest
    operation: str | None

    @property
    def pool(self) -> str:
        """The pool's name for people."""
        return self.entry.title

    @property
    def member(self) -> MemberReport | None:
        """The backend's report of the drive, if it has this pool's stamp."""
        return self.report.member(self.drive.id)

    @property
    def state(self) -> str | None:
        return self.member.state if self.member else None


class Admitted(NamedTuple):
    """``replaced`` is the member that goes, None for the missing one; ``content`` what is erased
    first, with the caller's consent."""

    replaced: DriveId | None
    content: tuple[SignatureMatch, ...]


def running(core: Core, entry: PoolEntry, snapshot: Snapshot) -> PoolReport:
    """The report of a pool that can take drives at all."""
    report = core.find_report(entry, snapshot)
    if report is None or report.presence != "active":
        raise Conflict(
            f"Pool {entry.title} is not running",
            hint=advise("Mount it first: ", Hint(Verb.OPEN, entry.guid)),
        )
    if "add_drive" not in core.host.backends[entry.backend].info.capabilities:
        raise InvalidRequest(f"Backend {entry.backend} cannot add drives to a pool")
    return report


async def admit(case: AddCase) -> Admitted | None:
    """Check the request. None: the drive is already in place. Raises if it must be refused."""
    _refuse_failed(case)
    if _is_in_place(case):
        return None
    sharing.refuse_shared(case.core, case.entry, case.snapshot)
    replaced = _replaced(case)
    refused = _unavailable(case)
    if refused is not None:
        raise refused
    if case.member is None:  # a member may be open in the pool's own daemon
        await guards.refuse_writers(case.core, [case.drive])
    content = _content(case)
    if case.member is None or content:
        await geometry.refuse_unfit(case.core, case.entry, case.report, case.drive)
    _refuse_without_redundancy(case, replaced)
    return Admitted(replaced, content)


def _refuse_failed(case: AddCase) -> None:
    """Refuse a failed pool: its members together may still hold all of the data."""
    if case.report.health != "failed":
        return
    away = [s for s in case.entry.drive_serials if s not in case.snapshot.connected]
    plug = f"Plug in {', '.join(away)}, then unmount" if away else "Unmount"
    raise Conflict(
        f"Pool {case.pool} has failed: too few of its members are in use to add a drive",
        details=case.report.detail,
        hint=_remounted(case, plug),
    )


def _remounted(case: AddCase, unmount: str) -> Advice:
    guid = case.entry.guid
    ways = Hint(Verb.CLOSE, guid), ", ", Hint(Verb.OPEN, guid)
    return advise(f"{unmount} the pool and mount it again: ", *ways)


def _is_in_place(case: AddCase) -> bool:
    """Idempotent: the second of two equal requests finds the work of the first."""
    replaces = case.request.replaces
    if case.member is None or not case.member.in_use:  # a spare is of no use to the pool yet
        return False
    if _stays(case, replaces):
        raise Conflict(
            f"Drive {case.drive.id} is already in use in pool {case.pool}, so it cannot "
            f"replace {replaces}",
            hint="Name a drive that is not in the pool yet",
        )
    return True


def _stays(case: AddCase, replaces: str | None) -> bool:
    """Whether this is a member whose place nothing has taken yet."""
    if replaces is None or replaces == case.request.serial:
        return False
    return replaces in case.entry.drive_serials and replaces not in case.entry.leaving


def _replaced(case: AddCase) -> DriveId | None:
    """The member that goes; None: the one that is missing."""
    replaces, report = case.request.replaces, case.report
    if replaces is None or replaces == case.request.serial:
        _refuse_complete(case)
        return None
    drives_by_serial = {drive.serial: drive for drive in (*case.entry.drive_ids, *report.drives)}
    if replaces not in drives_by_serial:
        raise InvalidRequest(f"Drive {replaces} is not a member of pool {case.pool}")
    old = report.member(drives_by_serial[replaces])
    if old is not None and old.in_place:
        _refuse_to_let_go(case, replaces)
    if old is None or not has_place(old):
        _refuse_complete(case)
    return drives_by_serial[replaces]


def has_place(member: MemberReport) -> bool:
    """Whether another drive can take the member's place: a spare has none, and neither has what is
    left of a former member."""
    out = member.slot is not None and not member.in_place
    return out or member.in_use


def _refuse_complete(case: AddCase) -> None:
    """Refuse a pool without an empty place."""
    if not case.report.degraded:
        raise Conflict(
            f"Pool {case.pool} is complete",
            hint="Name the member to replace in `replaces`",
        )


def _refuse_to_let_go(case: AddCase, replaces: str) -> None:
    """A member in use leaves only a pool that is whole and at rest."""
    report = case.report
    if not report.degraded and report.health not in _MOVING:
        return
    hint = "Wait until it is active" if report.health in _MOVING else "Leave out `replaces`"
    raise Conflict(
        f"Pool {case.pool} is {report.health} and relies on drive {replaces}, which "
        "cannot be replaced now",
        hint=hint,
    )


def _refuse_without_redundancy(case: AddCase, replaced: DriveId | None) -> None:
    """Refuse a pool that cannot rebuild a member. Its backend decides about levels that it does not
    describe."""
    level = case.core.host.backends[case.entry.backend].info.level(case.report.level)
    if level is None or level.redundant:
        return
    old = case.report.member(replaced) if replaced else None
    if level.exchanges and old is not None and has_place(old):
        return
    raise InvalidRequest(
        f"Pool {case.pool} has no redundancy (level {level.name}), so no drive can take the place "
        "of a member that is lost",
        hint="Name the connected member to replace in `replaces`" if level.exchanges else None,
    )


def _is_former(case: AddCase) -> bool:
    """Whether the drive has the pool's stamp but lost its place to another drive and is no longer
    held by the pool."""
    held = case.state in ("failed", "spare")
    return case.drive.id.serial not in case.entry.drive_serials and not held


def _unavailable(case: AddCase) -> BackyError | None:
    core, serial = case.core, case.drive.id.serial
    member, blank = case.member, not case.snapshot.signatures_of(case.drive)
    # A remembered member that is blank may come back.
    but = case.entry.guid if member is not None or blank else None
    error = guards.unavailable(
        core,
        case.drive,
        case.snapshot,
        pools=guards.known_pools(core, but=but),
        operation=case.operation,
        consent=case.request.wipe or (member is not None and not _is_former(case)),
        joining=case.report,
    )
    if error is None and member is not None and member.doubt is not None:
        return Conflict(
            f"Drive {serial} holds data of pool {case.pool}, and it is unknown whether that "
            "is older or newer",
            details=member.doubt,
            hint=_remounted(case, "Unmount"),
        )
    return error


def _content(case: AddCase) -> tuple[SignatureMatch, ...]:
    """Signatures on the drive that must be wiped first. Those of a stale member stay:
    the pool's own engine is asked to take it back."""
    serial, state = case.drive.id.serial, case.state
    if state == "diverged" and not case.request.wipe:
        raise DriveNotEmpty(
            f"Drive {serial} was written to separately from pool {case.pool}",
            hint="Adding it erases its contents; allow that with wipe: true",
        )
    if state is not None and state != "diverged" and not _is_former(case):
        return ()
    signatures = case.snapshot.signatures_of(case.drive)
    return tuple(dict.fromkeys(signature.as_match() for signature in signatures))
