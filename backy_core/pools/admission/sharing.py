"""Two backends that see one drive: a stacked pool and the array below it, or two claims to it.

What the one does to the drive destroys the other, so neither is adopted, deleted or extended
while both are known.
"""

from __future__ import annotations

from backy_core.machine.snapshot import Snapshot
from backy_core.pools.core import Core
from backy_core.sdk.advice import Hint, Verb, advise
from backy_core.sdk.errors import Conflict
from backy_core.sdk.models import DriveId, PoolReport
from backy_core.store.metadata import PoolEntry


def drives_below(report: PoolReport, snapshot: Snapshot) -> frozenset[DriveId]:
    """The drives a pool lies on, through any stack of devices: LVM on md, ZFS on md, md on LVM."""
    nodes = [member.device for member in report.members] + [report.device]
    below = (snapshot.drives_below(node) for node in nodes if node is not None)
    return frozenset({*report.drives}.union(*({drive.id for drive in drives} for drives in below)))


def other_pool(
    core: Core, backend: str, serials: frozenset[str], snapshot: Snapshot
) -> tuple[PoolEntry, str] | None:
    """A remembered pool of another backend that has one of these drives, and the drive's serial."""
    for entry in core.metadata.entries():
        shared = serials & _serials(core, entry, snapshot) if entry.backend != backend else ()
        if shared:
            return entry, min(shared)
    return None


def refuse_shared(core: Core, entry: PoolEntry, snapshot: Snapshot) -> None:
    """Raise :class:`Conflict` if a pool of another backend has a drive of this one."""
    name = entry.title
    remembered = core.metadata.get(entry.guid) is not None  # else it is deleted
    serials = _serials(core, entry, snapshot) if remembered else _seen(core, entry, snapshot)
    shared = other_pool(core, entry.backend, serials, snapshot)
    if shared is not None:
        rival, serial = shared
        raise Conflict(
            f"Pool {name} shares drive {serial} with pool {rival.title} of backend {rival.backend}",
            hint=advise(
                "Forget the one that is not needed: ",
                Hint(Verb.FORGET, rival.guid),
                " or ",
                Hint(Verb.FORGET, entry.guid),
            ),
        )


def _serials(core: Core, entry: PoolEntry, snapshot: Snapshot) -> frozenset[str]:
    return _seen(core, entry, snapshot).union(entry.drive_serials)


def _seen(core: Core, entry: PoolEntry, snapshot: Snapshot) -> frozenset[str]:
    report = core.find_report(entry, snapshot)
    below = drives_below(report, snapshot) if report is not None else ()
    return frozenset(drive.serial for drive in below)
