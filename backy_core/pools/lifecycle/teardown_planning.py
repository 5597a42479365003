"""What there is of a pool to delete, and the plan to erase it: made anew in every round."""

from __future__ import annotations

from backy_core.machine.inventory import names_of
from backy_core.machine.snapshot import Snapshot
from backy_core.plugins.layering import clear_device
from backy_core.pools.admission import teardown as teardown_guards
from backy_core.pools.admission.teardown import Target
from backy_core.pools.core import Core, compose
from backy_core.pools.lifecycle import steps
from backy_core.pools.reading.members import Scope, members_of, remembered, without
from backy_core.pools.reading.pool_mounts import own_mounts
from backy_core.sdk.models import PoolReport, SignatureMatch
from backy_core.sdk.plan import BackendPlan, Plan, Step
from backy_core.store.metadata import PoolEntry
from backy_core.store.tombstones import Tombstone


class TeardownPlanning:
    def __init__(self, core: Core) -> None:
        self._core = core

    async def admit(
        self, entry: PoolEntry, scope: Scope, stone: Tombstone | None = None
    ) -> tuple[Target, Plan]:
        """The target and the plan, after all checks that can refuse."""
        target, draft = await self.look_closely(entry, scope, stone)
        if scope.begun is None:
            teardown_guards.refuse_unknown_copies(target, scope.consent)
        await teardown_guards.refuse(self._core, target, scope.consent)
        return target, self.plan(target, draft)

    async def look_closely(
        self, entry: PoolEntry, scope: Scope, stone: Tombstone | None = None
    ) -> tuple[Target, BackendPlan | None]:
        """As :meth:`look`, after probing the pool's drives: a cached result is not good enough
        before wiping."""
        core = self._core
        nodes = _nodes_of(entry, core.observer.snapshot)
        snapshot = await core.observer.refresh_for(entry.backend, fresh_signatures_of=nodes)
        teardown_guards.refuse_blind(core, entry, snapshot)
        return await self.look(entry, scope, stone)

    async def look(
        self, entry: PoolEntry, scope: Scope, stone: Tombstone | None = None
    ) -> tuple[Target, BackendPlan | None]:
        """The pool as last inspected, and its backend's plan to release it."""
        core = self._core
        snapshot = core.observer.snapshot
        report = core.find_report(entry, snapshot)
        stamps, enclosing = (stone.stamps, stone.enclosing) if stone else ((), ())
        if report is None or report.presence != "active":
            teardown_guards.refuse_left_mounted(entry, report, snapshot)
        if report is None:
            members = members_of(entry, None, stamps, snapshot, scope)
            return Target(entry, None, members, stamps, enclosing, snapshot), None
        spec = entry.spec(report)
        draft = await core.host.plan_teardown(entry.backend, spec, report)
        stamps, enclosing = _joined(stamps, draft.stamps), _joined(enclosing, draft.enclosing)
        members = members_of(entry, report, stamps, snapshot, scope)
        if members.copies:
            teardown_guards.refuse_mixed(entry, report, members)
            report = without(report, members.copies)
            draft = await core.host.plan_teardown(entry.backend, spec, report)
        if members.copies and not members.own:  # what is left is somebody's copy
            return Target(entry, None, members, stamps, enclosing, snapshot), None
        return Target(entry, report, members, stamps, enclosing, snapshot), draft

    def plan(self, target: Target, draft: BackendPlan | None) -> Plan:
        """Plan the remaining work; no steps if no drive holds anything of the pool."""
        entry, report = target.entry, target.report
        held = report is not None and report.assembled
        own = tuple(drive.id for drive in target.members.own)
        plan = compose(
            "teardown",
            self._core,
            entry.spec(report),
            entry.backend,
            draft=draft,
            drives=own,
            steps=(
                *(_content_steps(entry, report, target.snapshot) if report else ()),
                *(draft.steps if draft and held else ()),
                *steps.wipe_members((drive, target.erasable_on(drive)) for drive in own),
            ),
        )
        return plan.model_copy(update={"stamps": target.stamps, "enclosing": target.enclosing})


def _joined(
    own_stamps: tuple[SignatureMatch, ...], shown: tuple[SignatureMatch, ...]
) -> tuple[SignatureMatch, ...]:
    return tuple(dict.fromkeys((*shown, *own_stamps)))


def _nodes_of(entry: PoolEntry, snapshot: Snapshot) -> list[str]:
    members = {drive.serial for drive in remembered(entry)}
    drives = [drive for drive in snapshot.drives if drive.id.serial in members]
    return [name for drive in drives for name in names_of(drive.device)]


def _content_steps(entry: PoolEntry, report: PoolReport, snapshot: Snapshot) -> tuple[Step, ...]:
    """Content first, container second: what is left inside would show up again one day."""
    if report.presence != "active":
        return ()
    paths = [mount.path for mount in own_mounts(entry, report, snapshot)]
    clear = (clear_device(),) if report.device else ()
    return (*(steps.unmount(path) for path in reversed(paths)), *clear)
