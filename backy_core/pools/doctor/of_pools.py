"""Checks of pools, drives and unfinished work."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from backy_core.pools.doctor.findings import Facts, Finding, Severity
from backy_core.pools.lifecycle.importing import importable
from backy_core.pools.reading.pool_mounts import all_mounts
from backy_core.sdk.advice import Hint, Verb
from backy_core.system import release


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
                "Import it, or leave it alone if another program uses it",
                Hint(Verb.IMPORT, guid),
            )


class UnownedMounts:
    """Filesystems mounted where pools are, which are not pools."""

    name = "unowned-mounts"

    def findings(self, facts: Facts) -> Iterator[Finding]:
        core, snapshot = facts.core, facts.snapshot
        owned = {
            mount.majmin
            for entry in core.metadata.entries()
            for mount in all_mounts(entry, core.find_report(entry), snapshot)
        }
        for mount in snapshot.mounts:
            path = Path(mount.path)
            if mount.majmin in owned or not _below(path, core.settings.mount_roots):
                continue
            own = _below(path, (core.settings.mount_root,))
            yield Finding(
                Severity.WARNING if own else Severity.INFO,
                mount.path,
                f"{mount.source} is mounted at {mount.path} and belongs to no known pool",
                (f"filesystem {mount.fstype}, device {mount.majmin}",),
                f"If nobody needs it: umount {mount.path}",
            )


def _below(path: Path, roots: tuple[Path, ...]) -> bool:
    return any(root in path.parents for root in roots)


class Quarantined:
    """Drives in an unknown state."""

    name = "quarantined"

    def findings(self, facts: Facts) -> Iterator[Finding]:
        for serial, reason in facts.core.quarantined().items():
            yield Finding(
                Severity.ERROR,
                serial,
                f"Drive {serial} is quarantined: no pool can be made of it",
                (reason,),
                "It is free again once the interrupted work is settled; see the journal's findings",
            )


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
            )
        for name, reason in facts.core.journal.damaged.items():
            path = facts.core.settings.journal_dir / name
            yield Finding(
                Severity.ERROR,
                str(path),
                f"The journal file {path} is damaged, and its drives are quarantined",
                (reason,),
                f"Check its drives, then remove it and restart the agent: rm {path}",
            )


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
