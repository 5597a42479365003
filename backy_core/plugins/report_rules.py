"""Refuse to open a pool by its report alone, before its backend is asked: alike for every backend.

A mount asks for ``degraded``, the agent's start does not.
"""

from __future__ import annotations

from backy_core.sdk.errors import Conflict
from backy_core.sdk.models import BackendInfo, MemberState, PoolReport, PoolSpec


def refuse_unusable(report: PoolReport) -> None:
    """Raise :class:`Conflict` for a container that its backend cannot handle."""
    if not report.usable:
        raise Conflict(report.detail or f"{report.native_id} cannot be used as a pool")


def refuse_to_open(
    info: BackendInfo, pool: PoolSpec, report: PoolReport, *, degraded: bool, force: bool
) -> None:
    """Raise :class:`Conflict` for a pool that must not be opened with the members it has.

    ``degraded``: the administrator asked for it, so members may be missing.
    """
    name = pool.label or pool.guid
    _refuse_copies(name, report)
    if not degraded:
        _refuse_diverged(name, report)
    if report.presence == "active":
        return
    if not force:
        _refuse_incomplete(info, name, report, degraded=degraded)
    _refuse_too_few(name, report)


def _refuse_copies(name: str, report: PoolReport) -> None:
    """The administrator decides between two equal drives. The tools would choose by the order in
    which they find them, and mix two sets."""
    drives: dict[str, list[str]] = {}
    for member in report.members:
        if member.handle and member.drive:
            drives.setdefault(member.handle, []).append(f"{member.drive} ({member.device})")
    for copies in drives.values():
        if len(copies) > 1:
            raise Conflict(
                f"Drives {' and '.join(copies)} are the same member of pool {name}: one is "
                "a copy of the other",
                hint="Unplug the one that is not needed, and mount the pool again",
            )


def _refuse_diverged(name: str, report: PoolReport) -> None:
    """The administrator decides between two halves."""
    diverged = [str(m.drive or m.device) for m in report.members if m.state == "diverged"]
    if diverged:
        raise Conflict(
            f"Members of pool {name} were used separately, so it is not opened automatically: "
            f"{', '.join(diverged)} diverged",
            details=report.detail,
            hint="Unplug the side that is not wanted and mount the pool explicitly; add the other "
            "side again with wipe",
        )


def _refuse_incomplete(info: BackendInfo, name: str, report: PoolReport, *, degraded: bool) -> None:
    """Members that were out already when the pool was used last count only for a backend that
    opens complete pools alone."""
    able = "degraded_open" in info.capabilities
    out: tuple[MemberState, ...] = ("missing",) if able else ("missing", "stale", "failed")
    count = sum(member.state in out for member in report.members)
    if count and not able:
        raise Conflict(
            f"Backend {info.name} opens complete pools only, and pool {name} lacks {count} "
            f"of its {report.expected_members} members",
            details=report.detail,
            hint="Plug them in and mount the pool again",
        )
    if count and not degraded:
        raise Conflict(
            f"{count} of the {report.expected_members} members of pool {name} that were in "
            "use are missing, so it is not opened automatically",
            details=report.detail,
            hint="Plug them in, or mount the pool explicitly",
        )


def _refuse_too_few(name: str, report: PoolReport) -> None:
    """Tools start what is left of some levels without a word."""
    if report.enough or not report.usable:
        return
    stale = [str(member.drive) for member in report.members if member.state == "stale"]
    dropped = f": {', '.join(stale)} dropped out while it was in use" if stale else ""
    raise Conflict(
        f"Too few drives of the pool {name} are connected and up to date{dropped}.",
        details=report.detail,
    )
