"""Mounting a pool by force: what is refused, what it may cost, and how it is told afterwards.

Drives that dropped out one after the other hold different states of the pool, and an ordinary mount
takes only the newest. By force the backend takes older ones as well. What comes of that is opened
read-only, without replaying the filesystem's journal, and is never opened again by itself. Whoever
has seen it so mounts it for writing with the next ordinary mount.
"""

from __future__ import annotations

from backy_core.operations import filesystems
from backy_core.pools.metadata import PoolEntry
from backy_core.pools.views import MountMember
from backy_core.sdk.advice import Advice, Hint, Verb, advise
from backy_core.sdk.errors import BackyError, Conflict, InvalidRequest
from backy_core.sdk.models import BackendInfo, Delivers, PoolReport
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
            f"Pool {entry.label or entry.guid} cannot be opened as it is. "
            f"{report.needs_force}{_told(report)}",
            hint=_how(entry),
        )


def advice(entry: PoolEntry, report: PoolReport, absent: list[str]) -> Advice:
    """Explain why a pool needs force, and what to do."""
    missing = f"; not connected: {', '.join(absent)}" if absent else ""
    return advise(f"{report.needs_force}{_told(report)}{missing}. ", _how(entry))


def _how(entry: PoolEntry) -> Advice:
    force = ("force", True)
    return advise(
        Hint(Verb.OPEN, entry.guid, (("dry_run", True), force)),
        " says what may be lost; ",
        Hint(Verb.OPEN, entry.guid, (force,)),
        " and the pool's label opens it read-only",
    )


def check_forced(entry: PoolEntry, report: PoolReport, mounts: tuple[MountEntry, ...]) -> None:
    """Raise :class:`Conflict` for force where an ordinary mount will do, or where the pool has to
    let go of its drives first."""
    name = entry.label or entry.guid
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


def is_forced(entry: PoolEntry, mount: MountEntry) -> bool:
    """Whether it was mounted by force: read-only by the kernel's word, and without replaying its
    journal, or, of a filesystem that the kernel does not say that of, as is remembered."""
    unreplayed = not mount.super_options.isdisjoint(filesystems.UNREPLAYED)
    return mount.read_only and (unreplayed or entry.seen_by_force is not None)


def refuse_forced(entry: PoolEntry, mounts: tuple[MountEntry, ...]) -> None:
    """An ordinary mount must not take a pool for mounted that was opened by force."""
    if any(is_forced(entry, mount) for mount in mounts):
        raise Conflict(
            f"Pool {entry.label or entry.guid} was opened read-only by force",
            hint=advise(
                "Check your files, then unmount it and mount it again to write to it: ",
                Hint(Verb.CLOSE, entry.guid),
            ),
        )


def members(report: PoolReport) -> tuple[MountMember, ...]:
    """The members that are connected, as a dry run shows them."""
    return tuple(
        MountMember(member.drive.serial, member.state, member.behind)
        for member in report.members
        if member.drive is not None
    )


def tell_taken(error: BackyError, entry: PoolEntry, report: PoolReport | None) -> None:
    """Add to the failure of a forced mount that its drives count as up to date now."""
    if report is not None and not report.needs_force:
        error.hint = advise(
            "By now all the drives that it took count as up to date, which cannot be taken back: ",
            Hint(Verb.OPEN, entry.guid),
            " without force opens it for writing",
        )


def may_be_lost(report: PoolReport, delivers: Delivers) -> str:
    """The data that a forced mount may lose, as a sentence."""
    why = f"{report.needs_force}{_told(report)}"
    if delivers == "filesystem":  # it knows what its own state is
        return why
    return (
        f"{why}. What was written last may be missing or damaged, also in files that are older. "
        "The filesystem's journal is not replayed, so the newest files may not show"
    )


def _told(report: PoolReport) -> str:
    """List how far each drive is behind."""
    stale = [m for m in report.members if m.drive is not None and m.state == "stale"]
    stale_members = "; ".join(f"{member.drive} is {member.behind or 'behind'}" for member in stale)
    return f": {stale_members}" if stale_members else ""
