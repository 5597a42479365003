"""Checks of pools, drives and unfinished work."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from backy_core.machine.snapshot import Snapshot
from backy_core.operations.journal import JournalEntry
from backy_core.pools.core import mounts_of
from backy_core.pools.doctor.findings import Facts, Finding, Severity
from backy_core.pools.doctor.release import ReleaseDrive, quarantining
from backy_core.pools.doctor.repairs import (
    RemoveDirectory,
    SetJournalAside,
    StopPool,
    UnmountPath,
    unowned_mounts,
)
from backy_core.pools.lifecycle.contents import keep_or_erase
from backy_core.pools.lifecycle.importing import importable
from backy_core.sdk.advice import Hint, Text, Verb
from backy_core.sdk.models import PoolReport
from backy_core.system import release

_DELETED_AGAIN = frozenset({"create", "teardown"})


class UnownedPools:
    """Arrays, volume groups and the like that are pools by their drives, and known to nobody."""

    name = "unowned-pools"

    def findings(self, facts: Facts) -> Iterator[Finding]:
        for guid, (backend, report) in importable(facts.core, facts.snapshot).items():
            yield Finding(
                Severity.WARNING if report.assembled else Severity.INFO,
                guid,
                f"The {backend} pool {report.name or report.native_id} belongs to no known pool",
                (
                    f"it is {report.presence}, level {report.level}",
                    f"drives: {', '.join(drive.serial for drive in report.drives)}",
                ),
                _importing(report, facts.snapshot),
                Hint(Verb.IMPORT, guid),
                _stopping(guid, backend, report, facts.snapshot),
            )


def _importing(report: PoolReport, snapshot: Snapshot) -> str:
    mounts = mounts_of(snapshot, report)
    first = f"; before it can be stopped: umount {mounts[-1]}" if mounts else ""
    return f"Import it, or leave it alone if another program uses it{first}"


def _stopping(guid: str, backend: str, report: PoolReport, snapshot: Snapshot) -> StopPool | None:
    if not report.assembled or mounts_of(snapshot, report):
        return None
    return StopPool(guid, backend, tuple(drive.serial for drive in report.drives))


class UnownedMounts:
    """Filesystems mounted where pools are, which are not pools."""

    name = "unowned-mounts"

    def findings(self, facts: Facts) -> Iterator[Finding]:
        for mount in unowned_mounts(facts.core, facts.snapshot):
            own = facts.core.settings.mount_root in Path(mount.path).parents
            yield Finding(
                Severity.WARNING if own else Severity.INFO,
                mount.path,
                f"{mount.source} is mounted at {mount.path} and belongs to no known pool",
                (f"filesystem {mount.fstype}, device {mount.majmin}",),
                f"If nobody needs it: umount {mount.path}",
                repair=UnmountPath(mount.path) if own else None,
            )


class UnownedDirectories:
    """Empty directories where pools are mounted, which are left of pools that are gone."""

    name = "unowned-directories"

    def findings(self, facts: Facts) -> Iterator[Finding]:
        for path in facts.empty_directories:
            yield Finding(
                Severity.INFO,
                path,
                f"{path} is empty and the mount path of no known pool",
                repair=RemoveDirectory(path),
            )


class MountPlaces:
    """Directories that a backup fills while its pool is away."""

    name = "mount-places"

    def findings(self, facts: Facts) -> Iterator[Finding]:
        for entry in facts.core.metadata.entries():
            place, path = facts.places.get(entry.guid), entry.last_mount_path
            if place is None or path is None or (place.empty and place.seal == "immutable"):
                continue
            own = path in entry.made_directories
            if not place.empty:
                yield Finding(
                    Severity.WARNING,
                    path,
                    f"{path} holds files, but pool {entry.title}, which belongs there, is not "
                    "mounted",
                    ("they are on the disk of the directory, not on the pool",),
                    f"Move them elsewhere, or the pool cannot be mounted at {path}",
                )
                continue
            yield Finding(
                Severity.WARNING if own else Severity.INFO,
                path,
                f"While pool {entry.title} is not mounted, what is written to {path} fills the "
                "disk that the directory is on",
                (_WRITABLE[place.seal],) if own else ("the agent did not make it",),
                f"chattr +i {path}",
            )


_WRITABLE = {
    "mode": "its filesystem has no immutable flag, and mode 0 does not stop root",
    "none": "the directory has lost its immutable flag",
}


class Quarantined:
    """Drives in an unknown state."""

    name = "quarantined"

    def findings(self, facts: Facts) -> Iterator[Finding]:
        for serial, reason in facts.core.quarantined().items():
            remedy, repair = _freeing(facts, serial)
            yield Finding(
                Severity.ERROR,
                serial,
                f"Drive {serial} is quarantined: no pool can be made of it",
                (reason,),
                remedy,
                repair=repair,
            )


def _freeing(facts: Facts, serial: str) -> tuple[Text, ReleaseDrive | None]:
    """What to do about a quarantined drive, and whether the doctor can."""
    if serial in facts.core.journal.doubtful:
        return "It is free once the damaged journal file that names it is set aside", None
    for entry, stuck in quarantining(facts.core, serial):
        if stuck.holds_data:
            return keep_or_erase(entry.plan.pool.guid), None
    if serial not in facts.snapshot.connected:
        return "Plug it in: it is free once the interrupted work is settled", None
    return "It is free once it is blank, or the interrupted work is settled", ReleaseDrive(serial)


class UnsettledJournal:
    """Interrupted work that could not be settled, and files that do not read as a journal."""

    name = "journal"

    def findings(self, facts: Facts) -> Iterator[Finding]:
        for operation, entry in facts.core.pending.items():
            plan = entry.opened.plan
            reason = entry.stuck.reason if entry.stuck is not None else "it is being settled"
            yield Finding(
                Severity.ERROR if entry.stuck is not None else Severity.INFO,
                operation,
                f"An interrupted operation on pool {plan.pool.guid} is not settled",
                (reason, f"drives: {', '.join(drive.serial for drive in plan.drives)}"),
                "It is tried again when drives come or go, and at the next start",
                _settling(entry),
            )
        for name, reason in facts.core.journal.damaged.items():
            path = facts.core.settings.journal_dir / name
            drives = ", ".join(facts.core.journal.doubtful_because_of(name))
            yield Finding(
                Severity.ERROR,
                str(path),
                f"The journal file {path} is damaged, and its drives are quarantined",
                (reason, f"drives: {drives}" if drives else "it names no drive that can be read"),
                "Check its drives, then set the file aside",
                repair=SetJournalAside(name),
            )


def _settling(entry: JournalEntry) -> Hint | None:
    """A deletion tries to roll a creation back again, or goes on with an interrupted deletion."""
    if entry.stuck is None or entry.stuck.holds_data:
        return None
    plan = entry.opened.plan
    return Hint(Verb.TEARDOWN, plan.pool.guid) if plan.kind in _DELETED_AGAIN else None


class NewerKernel:
    """Pools that this kernel cannot open."""

    name = "newer-kernel"

    def findings(self, facts: Facts) -> Iterator[Finding]:
        for entry in facts.core.metadata.entries():
            opens_on = entry.opens_on
            if opens_on is None or not opens_on.because:
                continue
            if opens_on.kernel is None:
                needs, severity = "a kernel that is not known here", Severity.WARNING
            elif release.reaches(facts.kernel, opens_on.kernel):
                continue
            else:
                needs, severity = f"Linux {opens_on.kernel} or newer", Severity.ERROR
            yield Finding(
                severity,
                entry.guid,
                f"Pool {entry.title} needs {needs}; this machine runs {facts.kernel}",
                opens_on.because,
            )


class DriveIdentity:
    """Drives that cannot be told from others."""

    name = "drive-identity"

    def findings(self, facts: Facts) -> Iterator[Finding]:
        twins = defaultdict(list)
        for drive in facts.snapshot.drives:
            if drive.ambiguous:
                twins[drive.id.serial].append(drive.node)
            elif not drive.identified:
                yield Finding(
                    Severity.WARNING,
                    drive.id.serial,
                    f"Drive {drive.node} has no serial number, and no pool can be made of it",
                    (f"{drive.device.model or 'its model is unknown'}, {drive.id.size} bytes",),
                    "Connect it by another adapter or port; give a virtual disk a serial",
                )
        for serial, nodes in twins.items():
            yield Finding(
                Severity.ERROR,
                serial,
                f"{len(nodes)} drives have the serial {serial}, and no pool can be made of them",
                tuple(nodes),
                "Connect one of them by another adapter or port, or unplug it",
            )
