"""Mounting a pool by force: what is refused.

Drives that dropped out one after the other hold different states of the pool, and an ordinary mount
takes only the newest. By force the backend takes older ones as well. What comes of that is opened
read-only, without replaying the filesystem's journal, and is never opened again by itself. Whoever
has seen it so mounts it for writing with the next ordinary mount.
"""

from __future__ import annotations

from backy_core.pools.reading import forced
from backy_core.sdk.advice import Hint, Verb, advise
from backy_core.sdk.errors import Conflict, InvalidRequest
from backy_core.sdk.models import BackendInfo, PoolReport
from backy_core.store.metadata import PoolEntry
from backy_core.system.mounts import MountEntry


def check_capability(info: BackendInfo) -> None:
    """Raise :class:`InvalidRequest` for a backend that opens no pool by force."""
    if "force_open" not in info.capabilities:
        raise InvalidRequest(
            f"Backend {info.name} cannot mount a pool by force: it has no capability force_open",
            hint="Plug in the drives that are missing, and mount it without force",
        )


def check_label(entry: PoolEntry, label: str | None) -> None:
    """A mount by force names the pool twice, by GUID and by label."""
    hint = f"Repeat the label of the pool: {entry.label!r}"
    if label is None:
        raise InvalidRequest("A mount by force needs the label of the pool", hint=hint)
    if label != entry.label:
        raise Conflict(f"Pool {entry.guid} does not have the label {label!r}", hint=hint)


def check_unforced(entry: PoolEntry, report: PoolReport, *, asked_for: bool) -> None:
    """Raise :class:`Conflict` for an ordinary mount of a pool that takes force, unless a person
    asked for it who has seen the pool by force, for the same reason."""
    reason = entry.seen_by_force if asked_for else None
    if report.needs_force and report.needs_force != reason:
        raise Conflict(
            f"Pool {entry.title} cannot be opened as it is. {forced.reason(report)}",
            hint=forced.how(entry),
        )


def check_forced(entry: PoolEntry, report: PoolReport, mounts: tuple[MountEntry, ...]) -> None:
    """Raise :class:`Conflict` for force where an ordinary mount will do, or where the pool has to
    let go of its drives first."""
    name = entry.title
    if mounts or (report.presence == "active" and report.health == "failed"):
        raise Conflict(
            f"Pool {name} is mounted at {mounts[-1].path}"
            if mounts
            else f"Pool {name} runs on the drives that are left",
            hint=advise("Unmount it first: ", Hint(Verb.CLOSE, entry.guid)),
        )
    if not report.needs_force:
        raise Conflict(
            f"Pool {name} needs no force, or force does not help",
            details=report.detail,
            hint=None if report.detail else "Plug in all its drives and mount it without force",
        )


def refuse_forced(entry: PoolEntry, mounts: tuple[MountEntry, ...]) -> None:
    """An ordinary mount must not take a pool for mounted that was opened by force."""
    if any(forced.is_forced(entry, mount) for mount in mounts):
        raise Conflict(
            f"Pool {entry.title} was opened read-only by force",
            hint=advise(
                "Check your files, then unmount it and mount it again to write to it: ",
                Hint(Verb.CLOSE, entry.guid),
            ),
        )
