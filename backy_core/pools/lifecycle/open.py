"""Open a pool: assemble it by identity, look what is on it, mount it; or go back."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from backy_core.machine.snapshot import Snapshot
from backy_core.operations import filesystems
from backy_core.operations.claims import Claim
from backy_core.operations.executor import is_final
from backy_core.operations.journal import Commit, JournalEntry, Planned
from backy_core.operations.kinds import OperationKind
from backy_core.operations.records import Operation
from backy_core.pools.admission import forcing, guards, portability
from backy_core.pools.core import compose, reachable
from backy_core.pools.lifecycle import steps
from backy_core.pools.lifecycle.verb import Direction, PlannedVerb, committing
from backy_core.pools.reading import forced
from backy_core.pools.reading.pool_mounts import all_mounts
from backy_core.pools.reading.troubles import failure
from backy_core.sdk.advice import Hint, Verb, advise
from backy_core.sdk.errors import BackyError, Cancelled, Conflict, SystemFailure
from backy_core.sdk.models import PoolReport, Signature
from backy_core.sdk.plan import Plan, Step
from backy_core.sdk.steps import ACTIVE
from backy_core.store.metadata import PoolEntry
from backy_core.system.mounts import MountEntry

_ROUNDS = 3


class _Target(NamedTuple):
    """The destination of a mount; ``missing`` directories of the path are made for it.

    ``degraded``: members may be missing. ``force``: members may be behind, and nothing is written.
    """

    path: str
    missing: tuple[str, ...]
    degraded: bool
    force: bool = False
    because: str | None = None
    """Why it takes force."""

    def make_directory(self) -> Step:
        return steps.make_directory(self.path, self.missing)


class OpenRequest(NamedTuple):
    """``path``: None for the one it had. ``degraded``: members may be missing. ``force``: members
    may be behind, and it is mounted read-only."""

    path: str | None = None
    degraded: bool = True
    force: bool = False


class OpenCase(NamedTuple):
    entry: PoolEntry
    report: PoolReport
    target: _Target
    plan: Plan


class Open(PlannedVerb[OpenRequest, OpenCase]):
    kind = OperationKind.MOUNT
    plan_kind = "open"
    direction = Direction.BACK
    cancellable = True

    def fingerprint(self, request: OpenRequest) -> str:
        path, degraded, force = request
        return json.dumps([path, degraded, force] if force else [path, degraded])

    def claims(self, request: OpenRequest) -> tuple[Claim, ...]:
        return (Claim("mount", request.path),) if request.path else ()

    async def dry_run(self, guid: str, request: OpenRequest) -> tuple[Plan | None, PoolReport]:
        """Plan a mount, with the same refusals, and return its report too; no plan if the pool is
        already mounted there."""
        entry = self._core.entry(guid)
        report, target = await self._targeted(entry, request)
        if target is None:
            return None, report
        plan = await self._plan(entry, report, target)
        if plan.delivers == "filesystem":
            return plan, report
        # Only the device will tell; until then what is remembered, or what pools mostly have.
        content = entry.filesystem or filesystems.DEFAULT, entry.fs_uuid or ""
        return plan.model_copy(
            update={"steps": (*plan.steps, *_mount_steps(target, *content))}
        ), report

    async def admit(self, op: Operation, guid: str, request: OpenRequest) -> OpenCase | None:
        entry = self._core.entry(guid)
        report, target = await self._targeted(entry, request)
        if target is None:
            return None
        return OpenCase(entry, report, target, await self._plan(entry, report, target))

    async def nothing_to_do(self, guid: str, request: OpenRequest) -> None:
        self._core.open_errors.pop(guid, None)
        path = self._path(self._core.entry(guid), request.path)
        update = {"is_mounted": True, "last_mount_path": path}
        await self._core.metadata.revise(guid, lambda entry: entry.model_copy(update=update))

    async def _targeted(
        self, entry: PoolEntry, request: OpenRequest
    ) -> tuple[PoolReport, _Target | None]:
        """Everything that refuses a mount before it is planned; no target where it is mounted."""
        core, force = self._core, request.force
        self._refuse_half_deleted(entry)
        snapshot = await core.observer.refresh_for(entry.backend)
        report = self._present(entry, snapshot)
        path = self._path(entry, request.path)
        if force:
            forcing.check_forced(entry, report, all_mounts(entry, report, snapshot))
        elif self._is_there(entry, report, snapshot, path):
            return report, None
        else:
            forcing.check_unforced(entry, report, asked_for=request.degraded)
            _refuse_failed(entry, report, snapshot)
        missing = await guards.missing_directories(core, path, snapshot, entry.guid)
        because = report.needs_force if force else None
        return report, _Target(path, missing, request.degraded, force, because)

    def _path(self, entry: PoolEntry, mount_path: str | None) -> str:
        default = str(self._core.settings.mount_root / entry.guid)
        return mount_path or entry.last_mount_path or default

    async def put_back(self, op: Operation, guid: str, was: MountEntry) -> None:
        """Mount again what an unmount took away that could not be finished."""
        entry = self._core.entry(guid)
        report = self._present(entry, self._core.observer.snapshot)
        by_force = forced.is_forced(entry, was)
        because = entry.seen_by_force if by_force else None
        target = _Target(was.path, missing=(), degraded=True, force=by_force, because=because)
        plan = await self._plan(entry, report, target)
        await self.carry_out(op, OpenCase(entry, report, target, plan))

    def _is_there(
        self, entry: PoolEntry, report: PoolReport, snapshot: Snapshot, path: str
    ) -> bool:
        """Whether it is mounted at ``path``. Raises :class:`Conflict` if it is mounted elsewhere,
        or where nobody can reach it."""
        mounted = all_mounts(entry, report, snapshot)
        forcing.refuse_forced(entry, mounted)
        at_path = [mount for mount in mounted if mount.path == path]
        covers = [snapshot.covers(mount) for mount in at_path]
        if None in covers:
            return True
        for cover in covers:
            if cover is not None:
                raise Conflict(
                    f"Pool {entry.title} is mounted at {path}, but {cover.source} "
                    f"is mounted at {cover.path} and covers it",
                    hint=f"Unmount what covers it: umount {cover.path}",
                )
        if mounted:
            raise Conflict(
                f"Pool {entry.title} is mounted at {mounted[-1].path}",
                hint=advise("Unmount it first: ", Hint(Verb.CLOSE, entry.guid)),
            )
        return False

    async def perform(self, op: Operation, journal: JournalEntry, case: OpenCase) -> Commit:
        core, entry = self._core, case.entry
        if case.target.force:
            # After the steps by force only this keeps the next start from opening it for writing.
            await core.metadata.put(entry.model_copy(update={"is_mounted": False}))
        try:
            await self._rounds(op, journal, case)
        except SystemFailure as error:
            raise await portability.explained(core, entry, error, case.report) from error
        return committing(await self._mounted(op, journal, entry, case.target))

    async def fail(
        self, op: Operation, journal: JournalEntry, case: OpenCase, error: BackyError
    ) -> BackyError:
        core = self._core
        failed = await super().fail(op, journal, case, error)
        if any(step.effect == "destroys" for step in journal.ever_begun()):
            report_now = core.find_report(case.entry, await core.observer.refresh())
            forced.tell_taken(failed, case.entry, report_now)
        return failed

    async def conclude(self, op: Operation, journal: JournalEntry) -> None:
        core, guid = self._core, journal.opened.plan.pool.guid
        core.open_errors.pop(guid, None)
        for older in core.pending_of(guid):  # its recovery would take this mount away
            if older.plan.kind in ("open", "close") and older.order() < journal.order():
                await core.settle(older)
        await super().conclude(op, journal)

    async def go_back(self, op: Operation, journal: JournalEntry) -> None:
        """A pool that is mounted where it should be is left there."""
        core = self._core
        entry = core.metadata.get(journal.opened.plan.pool.guid)
        if entry is not None and entry.is_mounted:
            snapshot = await core.observer.refresh()
            if entry.last_mount_path in reachable(snapshot, core.find_report(entry, snapshot)):
                await core.settle(journal)
                return
        await super().go_back(op, journal)

    def _refuse_half_deleted(self, entry: PoolEntry) -> None:
        """Its deletion goes on some day: nobody must have filled it again by then."""
        if any(pending.plan.kind == "teardown" for pending in self._core.pending_of(entry.guid)):
            raise Conflict(
                f"The deletion of pool {entry.title} did not finish",
                hint=advise("Delete it again: ", Hint(Verb.TEARDOWN, entry.guid)),
            )

    async def _rounds(self, op: Operation, journal: JournalEntry, case: OpenCase) -> None:
        """Plan again from what is seen when udev was quicker: it assembles members as they come."""
        core, entry, plan = self._core, case.entry, case.plan
        for _ in range(_ROUNDS - 1):
            try:
                await core.executor.run(op, journal, plan)
            except SystemFailure as error:
                if isinstance(error, Cancelled) or is_final(error):
                    raise
                op.outputs.append(f"# {error}; inspecting again")
            else:
                return
            report = self._present(entry, await core.observer.refresh())
            plan = await self._plan(entry, report, case.target)
            await journal.append(Planned(plan=plan))
        await core.executor.run(op, journal, plan)

    def _present(self, entry: PoolEntry, snapshot: Snapshot) -> PoolReport:
        if unseen := self._core.unseen_because(entry, snapshot):
            raise SystemFailure(unseen)
        report = self._core.find_report(entry, snapshot)
        if report is not None:
            return report
        serials = ", ".join(entry.drive_serials) or "its drives"
        raise Conflict(
            f"No drive of pool {entry.title} is connected",
            hint=f"Plug in {serials} and try again",
        )

    async def _plan(self, entry: PoolEntry, report: PoolReport, target: _Target) -> Plan:
        _refuse_former_member(entry, report)
        spec = entry.spec(report).model_copy(update={"mount_path": target.path})
        draft = await self._core.host.plan_open(
            entry.backend, spec, report, target.degraded, target.force
        )
        own = steps.own_mount(target.path, draft.delivers, read_only=target.force)
        directory = (target.make_directory(),) if own and target.missing else ()
        return compose(
            "open",
            self._core,
            spec,
            entry.backend,
            draft=draft,
            steps=(*directory, *draft.steps),
            drives=report.drives,
            goal=tuple(dict.fromkeys((*draft.goal, ACTIVE, *own))),
        )

    async def _mounted(
        self, op: Operation, journal: JournalEntry, entry: PoolEntry, target: _Target
    ) -> PoolEntry:
        """The entry once it is mounted, which a backend with its own filesystem has done."""
        changes: dict[str, Any] = {
            "native_id": journal.plan.pool.identity,
            # What was opened by force is not opened for writing at the next start.
            "is_mounted": not target.force,
            "seen_by_force": target.because,
            "last_mount_path": target.path,
            "made_directories": tuple(dict.fromkeys((*entry.made_directories, *target.missing))),
        }
        if journal.plan.delivers == "block":
            changes |= await self._mount(op, journal, entry, target)
        mounted = entry.model_copy(update=changes)
        # The snapshot shows it mounted from here on.
        report = await self._core.executor.resolver.report(journal.plan, fresh=False)
        opens_on = await portability.seen(self._core, mounted, report, mounted.md_device_name)
        return mounted.model_copy(update={"opens_on": opens_on})

    async def _mount(
        self, op: Operation, journal: JournalEntry, entry: PoolEntry, target: _Target
    ) -> dict[str, str]:
        """The second round: what is on the device decides how it is mounted."""
        device = await self._core.executor.resolver.pool_device(journal.plan)
        content = await self._content(entry, device)
        assert content.uuid is not None
        round_steps = _mount_steps(target, content.type, content.uuid)
        plan = journal.plan.model_copy(update={"steps": round_steps, "goal": ()})
        await journal.append(Planned(plan=plan))
        content_found = {
            "filesystem": content.type,
            "fs_uuid": content.uuid,
            "md_device_name": device,
        }
        try:
            await self._core.executor.run(op, journal, plan)
        except SystemFailure as error:
            named = entry.model_copy(update=content_found)
            report = self._present(entry, self._core.observer.snapshot)
            raise await portability.explained(self._core, named, error, report, device) from error
        return content_found

    async def _content(self, entry: PoolEntry, device: str) -> Signature:
        """The filesystem on the pool's device; it must be the one that is remembered."""
        shown = (await self._core.machine.signatures.probe([f"/dev/{device}"]))[device]
        usable = [s for s in shown if filesystems.is_known(s.type) and s.uuid]
        if len(shown) != 1 or not usable:
            listed = ", ".join(map(str, shown)) or "nothing"
            raise SystemFailure(
                f"Pool {entry.title} holds no filesystem that can be mounted",
                details=f"/dev/{device} holds {listed}",
            )
        if entry.fs_uuid is not None and usable[0].uuid != entry.fs_uuid:
            raise SystemFailure(
                f"Pool {entry.title} holds a different filesystem from the one made on it",
                details=f"expected {entry.fs_uuid}, found {usable[0]} {usable[0].uuid}",
            )
        return usable[0]


def _mount_steps(target: _Target, filesystem: str, uuid: str) -> tuple[Step, ...]:
    directory = (target.make_directory(),) if target.missing else ()
    return (
        *directory,
        steps.mount(target.path, filesystem, uuid, read_only=target.force),
    )


def _refuse_failed(entry: PoolEntry, report: PoolReport, snapshot: Snapshot) -> None:
    """Refuse a pool that runs on too few drives: it must release them before it is assembled."""
    if report.presence == "active" and (why := failure(entry, report, snapshot)):
        raise Conflict(f"Pool {entry.title} is running but has failed", hint=why)


def _refuse_former_member(entry: PoolEntry, report: PoolReport) -> None:
    """Refuse to open from a replaced drive that was later used separately: its event count may be
    ahead of the members that went on without it. Its old place is taken, so their superblocks do
    not mark it as removed, and udev may already have started the pool from it."""
    members = {m.drive.serial: m for m in report.members if m.drive is not None}
    serials = entry.drive_serials
    former = ", ".join(s for s, member in members.items() if member.in_place and s not in serials)
    left = {s for s, member in members.items() if member.state in ("stale", "diverged")}
    behind = ", ".join(s for s in serials if s in left)
    if former and behind:
        raise Conflict(
            f"{former} is no longer a member of the pool, but was used separately, and would "
            f"replace what {behind} holds",
            hint=f"Unplug {former}, unmount the pool to release it, and mount it again. If "
            f"{former} did replace {behind} and the metadata is older, unplug {behind} "
            "instead",
        )
