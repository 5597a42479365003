"""A pool's state, derived by one pure function and never stored."""

from __future__ import annotations

from typing import NamedTuple

from backy_core.pools.views import PoolState


class Evidence(NamedTuple):
    """All that decides a pool's state."""

    known: bool = False
    """Metadata has an entry."""
    wanted: bool = False
    """The entry's wish is to be mounted."""
    mounted: bool = False
    """Its filesystem is mounted now, and can be reached and written to."""
    troubled: bool = False
    """The kernel has its filesystem or its device, in a way that it cannot be used."""
    creating: bool = False
    """A creation of this GUID runs, or one is being rolled back."""
    failed: bool = False
    """A failed creation is remembered."""
    deleted: bool = False
    """It was torn down a short while ago."""
    earlier: PoolState | None = None
    """A running operation on the pool was accepted while it was in this state."""
    opening: bool = False
    """Start-up has yet to open it, or an interrupted operation is being recovered."""


def derive(evidence: Evidence) -> PoolState | None:
    """The state, or None for a pool nobody knows.

    A creation stays ``creating`` until its operation ended: metadata alone makes nothing ready.
    """
    if evidence.creating:
        return PoolState.CREATING
    if not evidence.known:
        return _remembered(evidence)
    if evidence.earlier is not None:
        return evidence.earlier
    if evidence.troubled and not evidence.opening:
        return PoolState.ERROR
    if evidence.mounted:
        return PoolState.READY
    if evidence.wanted and not evidence.opening:
        return PoolState.ERROR
    return PoolState.UNMOUNTED


def _remembered(evidence: Evidence) -> PoolState | None:
    if evidence.deleted:
        return PoolState.DELETED
    return PoolState.FAILED if evidence.failed else None
