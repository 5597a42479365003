"""What mounting a pool by force may cost, and how that is said before and afterwards."""

from __future__ import annotations

from backy_core.operations import filesystems
from backy_core.pools.views import MountMember
from backy_core.sdk.advice import Advice, Hint, Verb, advise
from backy_core.sdk.errors import BackyError
from backy_core.sdk.models import Delivers, PoolReport
from backy_core.store.metadata import PoolEntry
from backy_core.system.mounts import MountEntry


def is_forced(entry: PoolEntry, mount: MountEntry) -> bool:
    """Whether it was mounted by force: read-only by the kernel's word, and without replaying its
    journal, or, of a filesystem that the kernel does not say that of, as is remembered."""
    unreplayed = not mount.super_options.isdisjoint(filesystems.UNREPLAYED)
    return mount.read_only and (unreplayed or entry.seen_by_force is not None)


def advice(entry: PoolEntry, report: PoolReport, absent: list[str]) -> Advice:
    """Explain why a pool needs force, and what to do."""
    missing = f"; not connected: {', '.join(absent)}" if absent else ""
    return advise(f"{reason(report)}{missing}. ", how(entry))


def how(entry: PoolEntry) -> Advice:
    """Advise a dry run by force, then the mount."""
    force = ("force", True)
    return advise(
        Hint(Verb.OPEN, entry.guid, (("dry_run", True), force)),
        " says what may be lost; ",
        Hint(Verb.OPEN, entry.guid, (force,)),
        " and the pool's label opens it read-only",
    )


def may_be_lost(report: PoolReport, delivers: Delivers) -> str:
    """The data that a forced mount may lose, as a sentence."""
    why = reason(report)
    if delivers == "filesystem":  # it knows what its own state is
        return why
    return (
        f"{why}. The latest writes may be missing or damaged, even in older files. "
        "The filesystem's journal is not replayed, so the newest files may be missing"
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
            "All the drives that it used now count as up to date, which cannot be reversed: ",
            Hint(Verb.OPEN, entry.guid),
            " without force opens it for writing",
        )


def reason(report: PoolReport) -> str:
    """Say why the pool needs force, and how far each drive is behind."""
    stale = [m for m in report.members if m.drive is not None and m.state == "stale"]
    stale_members = "; ".join(f"{member.drive} is {member.behind or 'behind'}" for member in stale)
    return f"{report.needs_force}: {stale_members}" if stale_members else str(report.needs_force)
