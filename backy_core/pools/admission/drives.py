"""Why a drive may not be taken: every guard, in one place, the first reason wins.

Each reason is one sentence that names what is on the drive or holds it, with a hint how to free
it. The list of drives and the admission of operations ask the same question here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from backy_core.machine.inventory import Drive, names_of, unidentified_because
from backy_core.pools.reading.guids import importable_guid
from backy_core.sdk.advice import Hint, Verb, advise
from backy_core.sdk.errors import (
    BackyError,
    Conflict,
    DriveInUse,
    DriveNotEmpty,
    DriveProtected,
)
from backy_core.sdk.models import MemberReport, PoolReport
from backy_core.system.mounts import is_of_pool

if TYPE_CHECKING:
    from backy_core.machine.snapshot import Snapshot


class _Case(NamedTuple):
    drive: Drive
    snapshot: Snapshot
    pools: Mapping[str, str]
    claimed: Collection[str]
    quarantined: Mapping[str, str]
    protected: Collection[str]
    allow_signatures: bool
    deleted: Collection[str]
    known: Mapping[str, str]
    joining: PoolReport | None
    pool_guid: Callable[[str], str | None]

    @property
    def serial(self) -> str:
        return self.drive.id.serial


def unavailable_because(
    drive: Drive,
    snapshot: Snapshot,
    *,
    pools: Mapping[str, str],
    claimed: Collection[str] = frozenset(),
    quarantined: Mapping[str, str] | None = None,
    protected: Collection[str] = frozenset(),
    allow_signatures: bool = False,
    deleted: Collection[str] = frozenset(),
    known_pools: Mapping[str, str] = MappingProxyType({}),
    joining: PoolReport | None = None,
    pool_guid: Callable[[str], str | None] = lambda _: None,
) -> BackyError | None:
    """The first reason against using ``drive``; None if it may be used.

    ``pools``: label of the known pool by member serial. ``claimed``: serials under a running
    operation. ``quarantined``: reason by serial. ``protected``: serials. ``allow_signatures``:
    consent to wipe its signatures. ``deleted``: GUIDs of deleted pools whose remains count as
    ordinary signatures. ``known``: GUID of each known pool by its native id; its signatures on a
    drive that is no longer in ``pools`` count as ordinary too. ``joining``: the pool that gets the
    drive, which is not a reason against it. ``pool_guid``: returns the GUID of the pool of a
    serial in ``pools``, called only for a hint.
    """
    case = _Case(
        *(drive, snapshot, pools, claimed, quarantined or {}, protected, allow_signatures),
        *(deleted, known_pools, joining, pool_guid),
    )
    return next((error for guard in _GUARDS if (error := guard(case)) is not None), None)


def _protected(case: _Case) -> BackyError | None:
    if case.serial not in case.protected:
        return None
    return DriveProtected(
        f"Drive {case.serial} is protected",
        hint=advise("Lift the protection: ", Hint(Verb.UNPROTECT, case.serial)),
    )


def _excluded(case: _Case) -> BackyError | None:
    if not case.drive.excluded:
        return None
    return DriveProtected(
        f"Drive {case.serial} is excluded by the agent's settings",
        hint="Change the setting exclude_drives",
    )


def _system(case: _Case) -> BackyError | None:
    if not case.drive.system:
        return None
    return DriveProtected(f"Drive {case.serial} holds the running system or its swap")


def _unidentified(case: _Case) -> BackyError | None:
    return unidentified_because(case.drive)


def _ambiguous(case: _Case) -> BackyError | None:
    if not case.drive.ambiguous:
        return None
    return Conflict(
        f"More than one drive has the serial {case.serial}",
        hint="Unplug all but one of them",
    )


def _quarantined(case: _Case) -> BackyError | None:
    reason = case.quarantined.get(case.serial)
    if reason is None:
        return None
    return DriveInUse(
        f"Drive {case.serial} is quarantined: {reason}",
        hint=advise("What can be done about it: ", Hint(Verb.EXAMINE)),
    )


def _unusable(case: _Case) -> BackyError | None:
    if case.drive.problem is None:
        return None
    return DriveInUse(f"Drive {case.serial} cannot be used: {case.drive.problem}")


def _known_member(case: _Case) -> BackyError | None:
    label = case.pools.get(case.serial)
    if label is None:
        return None
    guid = case.pool_guid(case.serial)
    return DriveInUse(
        f"Drive {case.serial} is a member of pool {label}",
        hint=advise("Delete the pool if it is not needed: ", Hint(Verb.TEARDOWN, guid))
        if guid
        else None,
    )


def _replaced_member(case: _Case) -> BackyError | None:
    """md holds on to a member it has replaced until the array is stopped."""
    for _, report in case.snapshot.pools_on(case.drive.id):
        if report.native_id in case.known and not _joins(report, case):
            states = [m.state for m in report.members if m.drive == case.drive.id]
            if "failed" in states:
                guid = case.known[report.native_id]
                return DriveInUse(
                    f"Drive {case.serial} was replaced in pool {report.name or guid}, "
                    "which holds it until it is unmounted",
                    hint=advise("Unmount it once: ", Hint(Verb.CLOSE, guid)),
                )
    return None


def _mounted(case: _Case) -> BackyError | None:
    pools = [case.joining, *_own_filesystems(case.snapshot)]
    on_it = case.snapshot.mounts_on(case.drive)
    mounts = [mount for mount in on_it if not any(is_of_pool(mount, pool) for pool in pools)]
    if not mounts:
        return None
    return DriveInUse(
        f"Drive {case.serial} is mounted at {mounts[0].path}",
        hint=f"Unmount it: umount {mounts[0].path}",
    )


def _own_filesystems(snapshot: Snapshot) -> list[PoolReport]:
    """Pools whose mounts name no device: who is a member of them says on what they lie."""
    return [report for reports in snapshot.reports.values() for report in reports if report.source]


def _swapped_to(case: _Case) -> BackyError | None:
    swaps = [
        device.name for device in case.drive.device.walk() if device.name in case.snapshot.swaps
    ]
    if not swaps:
        return None
    return DriveInUse(f"Drive {case.serial} is used as swap", hint=f"swapoff /dev/{swaps[0]}")


def _foreign_member(case: _Case) -> BackyError | None:
    """Refuse a member of a running pool or of a Backy pool, which ``wipe`` never overrides.

    A stopped array or volume group of someone else is ordinary data: a signature.
    """
    for backend, report in case.snapshot.pools_on(case.drive.id):
        member = report.member(case.drive.id)
        if member is not None and _counts(report, member, case):
            return _member_error(case, backend, report)
    return None


def _counts(report: PoolReport, member: MemberReport, case: _Case) -> bool:
    if _joins(report, case):
        return False
    running = report.assembled
    if any(report.native_id in ids for ids in case.snapshot.kept.values()):
        return running  # what its drives hold cannot be read; wiping them takes consent
    if member.state == "stale" and report.native_id in case.known:
        return False
    if running:
        return True
    return report.guid is not None and report.guid not in case.deleted


def _joins(report: PoolReport, case: _Case) -> bool:
    return case.joining is not None and report.native_id == case.joining.native_id


def _member_error(case: _Case, backend: str, report: PoolReport) -> BackyError:
    name = f"the {backend} pool {report.name or report.guid or report.native_id}"
    if report.guid is not None and report.guid in case.deleted:
        return DriveInUse(
            f"Drive {case.serial} still holds {name}, which was deleted while the drive was absent",
            hint=advise("Delete it again to wipe this drive: ", Hint(Verb.TEARDOWN, report.guid)),
        )
    if not report.usable:
        return DriveInUse(
            f"Drive {case.serial} is held by {report.device or name}, which Backy does not manage",
            details=report.detail,
            hint=f"To release it, if it is not needed: {report.release}"
            if report.release
            else "Find out what it is, and dismantle it by hand if it is not needed",
        )
    kept = [drive.id.serial for drive in case.snapshot.drives if drive.system or drive.excluded]
    out_of_reach = [drive.serial for drive in report.drives if drive.serial in kept]
    if out_of_reach:
        return DriveInUse(
            f"Drive {case.serial} is a member of {name}",
            hint=f"Dismantle it by hand: its drive {out_of_reach[0]} is excluded, or the system's",
        )
    guid = importable_guid(backend, report)
    return DriveInUse(
        f"Drive {case.serial} is a member of {name}, which this agent does not know",
        hint=advise("Import it: ", Hint(Verb.IMPORT, guid), ", and delete it if it is not needed"),
    )


def _held(case: _Case) -> BackyError | None:
    """Refuse a drive on which the kernel has built a device: an LVM volume, a bcache, a crypt
    device. Devices between the drive and the pool it joins are the pool's, as a mirror's legs."""
    own = names_of(case.drive.device)
    pool = case.joining.device if case.joining else None
    everything = tuple(case.drive.device.walk())
    inside = {
        device.name
        for candidate in everything
        if candidate.name == pool
        for device in candidate.walk()
    }
    built = [
        candidate
        for candidate in everything
        if candidate.name not in own
        and candidate.name not in inside
        and all(above.name != pool for above in candidate.walk())
    ]
    if not built:
        return None
    return DriveInUse(
        f"Drive {case.serial} is held by {built[0].path} ({built[0].type})",
        hint="Stop or deactivate what is built on it",
    )


def _claimed(case: _Case) -> BackyError | None:
    if case.serial not in case.claimed:
        return None
    return DriveInUse(
        f"Drive {case.serial} is being used by a running operation",
        hint=advise("Wait for it to end, or cancel it: ", Hint(Verb.LIST_OPERATIONS)),
    )


def _backend_failing(case: _Case) -> BackyError | None:
    types = {signature.type for signature in case.snapshot.signatures_of(case.drive)}
    for backend, problem in case.snapshot.problems.items():
        if types & case.snapshot.owned_types.get(backend, frozenset()):
            return DriveInUse(
                f"Drive {case.serial} holds data of backend {backend}, which cannot inspect its "
                "pools now",
                details=problem,
            )
    return None


def _unknown_content(case: _Case) -> BackyError | None:
    for name in names_of(case.drive.device):
        reason = case.snapshot.unprobed.get(name)
        if reason is not None:
            return DriveInUse(f"The contents of drive {case.serial} cannot be read", details=reason)
    return None


def _not_empty(case: _Case) -> BackyError | None:
    signatures = case.snapshot.signatures_of(case.drive)
    if case.allow_signatures or not signatures:
        return None
    named = ", ".join(dict.fromkeys(str(signature) for signature in signatures))
    reasons = (
        f", which backend {backend} cannot read: {drives[case.drive.id]}"
        for backend, drives in case.snapshot.unreadable.items()
        if case.drive.id in drives
    )
    return DriveNotEmpty(
        f"Drive {case.serial} is not empty: it holds {named}{next(reasons, '')}",
        hint='If its data is not needed, allow wiping with "wipe": true',
    )


_GUARDS: tuple[Callable[[_Case], BackyError | None], ...] = (
    _protected,
    _excluded,
    _system,
    _unidentified,
    _ambiguous,
    _quarantined,
    _unusable,
    _known_member,
    _replaced_member,
    _mounted,
    _swapped_to,
    _foreign_member,
    _held,
    _claimed,
    _backend_failing,
    _unknown_content,
    _not_empty,
)
