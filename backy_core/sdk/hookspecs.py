"""The hooks of a backend and of a listener.

A backend is a module (or object) of functions marked with :data:`hookimpl`, registered by an
entry point in the group ``backy.backends`` whose name is the backend's. Hooks are called with
keywords; an implementation may leave out arguments it does not need, so specs can gain
arguments without breaking old plugins.

Plan hooks are pure and synchronous: same arguments, same plan; no reading, no clock, no
randomness. ``backy_inspect`` is the only one that looks at the machine, and it never changes it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

import pluggy

from backy_core.sdk.models import (
    BackendInfo,
    DriveId,
    PoolReport,
    PoolSpec,
    Probe,
    Requirement,
    Unreadable,
)
from backy_core.sdk.plan import BackendPlan

hookspec = pluggy.HookspecMarker("backy")
hookimpl = pluggy.HookimplMarker("backy")

REQUIRED_HOOKS = (
    "backy_backend",
    "backy_plan_create",
    "backy_inspect",
    "backy_plan_open",
    "backy_plan_close",
    "backy_plan_teardown",
)


class BackendSpecs:
    """What a backend implements. All but add_drive, import and explain are required."""

    @hookspec(firstresult=True)
    def backy_backend(self) -> BackendInfo:  # type: ignore[empty-body]
        """Describe the backend. Called once, at load."""

    @hookspec(firstresult=True)
    def backy_plan_create(  # type: ignore[empty-body]
        self, pool: PoolSpec, drives: tuple[DriveId, ...]
    ) -> BackendPlan:
        """Plan a new pool on blank, free drives, ending with a block device or filesystem.

        ``pool.portability`` says whether the oldest supported system must open it. What stands
        against that goes into ``BackendPlan.requires``.
        """

    @hookspec(firstresult=True)
    def backy_inspect(  # type: ignore[empty-body]
        self, probe: Probe
    ) -> Awaitable[Sequence[PoolReport | Unreadable]]:
        """Report every pool of this backend that can be seen now, stopped ones included, and
        each device that cannot be read.

        Called on kernel events and around every operation. Async and read-only.
        """

    @hookspec(firstresult=True)
    def backy_plan_open(  # type: ignore[empty-body]
        self, pool: PoolSpec, report: PoolReport, degraded: bool, force: bool
    ) -> BackendPlan:
        """Plan assembling / activating / importing by identity. ``degraded`` allows starting
        with members missing. Stale and diverged members are left out.

        ``force`` is true only where the report says ``needs_force``: stale members may be used,
        and the pool comes up read-only."""

    @hookspec(firstresult=True)
    def backy_plan_close(self, pool: PoolSpec, report: PoolReport) -> BackendPlan:  # type: ignore[empty-body]
        """Plan stopping / deactivating / exporting. It is unmounted already."""

    @hookspec(firstresult=True)
    def backy_plan_teardown(self, pool: PoolSpec, report: PoolReport) -> BackendPlan:  # type: ignore[empty-body]
        """Plan releasing the container. The core has wiped its content before and wipes the
        members afterwards."""

    @hookspec(firstresult=True)
    def backy_plan_add_drive(  # type: ignore[empty-body]
        self, pool: PoolSpec, report: PoolReport, drive: DriveId, replaces: DriveId | None
    ) -> BackendPlan:
        """Plan re-adding a returned member or adding a blank replacement. Only called if the
        capability ``add_drive`` is advertised. Its pivot step hands the drive over."""

    @hookspec(firstresult=True)
    def backy_plan_import(self, pool: PoolSpec, report: PoolReport) -> BackendPlan:  # type: ignore[empty-body]
        """Plan adopting a found pool. Without it the core adopts and touches nothing."""

    @hookspec(firstresult=True)
    def backy_explain(self, output: str) -> Sequence[Requirement]:  # type: ignore[empty-body]
        """Name the features that this machine lacks, by what a program printed that failed to open
        a pool. Pure. Without it ``PoolReport.requires`` alone explains."""


class ListenerSpecs:
    """What any number of plugins in the group ``backy.listeners`` may implement.

    Called after the fact; a listener that raises is logged and nothing else.
    """

    @hookspec
    def backy_operation_finished(self, operation: object) -> None:
        """An operation ended; ``operation`` is its public record (see GET /operations)."""

    @hookspec
    def backy_pool_changed(self, before: PoolReport | None, after: PoolReport | None) -> None:
        """A pool's report changed; None: it was not, or is no longer, there."""
