"""Inspect the content of a pool that an interrupted creation may have left.

The journal says how far the creation came, but a journal can be older than the pool: the state
directory was restored from a copy, or something was mounted over it. So before such a creation
is rolled back, its pool is opened and its content read. A filesystem that the plan had not made
yet, or one that holds anything, has been used since.
"""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from backy_core.operations import filesystems
from backy_core.operations.journal import JournalEntry
from backy_core.operations.records import Operation
from backy_core.pools.core import Core, compose, mounts_of, reachable
from backy_core.pools.lifecycle import steps
from backy_core.sdk.advice import Advice, Hint, Verb, advise
from backy_core.sdk.errors import BackyError, SystemFailure
from backy_core.sdk.models import PoolReport, PoolSpec, Signature
from backy_core.sdk.plan import BackendPlan, Condition, Exec, MakeFilesystem, Plan, Step

_LOOK_S = 60.0
"""Mounting replays a journal first."""
_SHOWN = 3
_NO_FILESYSTEM = (errno.EINVAL, errno.EUCLEAN)
"""What mount(2) answers for a superblock that is not whole."""


def erase(guid: str) -> Advice:
    """How to erase what an interrupted creation left."""
    return advise("Erase it: ", Hint(Verb.TEARDOWN, guid, (("wipe", True),)))


def keep_or_erase(guid: str) -> Advice:
    """What to do about a creation's pool that has been used since."""
    return advise("Keep it: ", Hint(Verb.IMPORT, guid), ". ", erase(guid))


class PoolContents:
    def __init__(self, core: Core) -> None:
        self._core = core

    async def foreign(self, op: Operation, entry: JournalEntry) -> str | None:
        """Describe content that the creation of ``entry`` did not put there, as a clause with the
        pool as its subject; None if there is none.

        Raises :class:`BackyError` if the content cannot be read.
        """
        plan = entry.opened.plan
        report = await self._core.executor.resolver.report(plan)
        if report is None:
            return None
        if report.others:
            return _beside(report)
        if report.expected_members == 0:
            return None
        if not any(isinstance(step.run, Exec) for step in entry.ever_begun()):
            return "exists on its drives, which the journal says were not written to yet"
        degraded = _is_part_of_what_was_made(report)
        async with self.opened(op, plan, report, degraded=degraded) as opened:
            if opened.others:  # some backends see them only now
                return _beside(opened)
            if plan.delivers == "filesystem":
                return await self._at_mount(plan, opened)
            return await self._on_device(entry, opened)

    @asynccontextmanager
    async def opened(
        self, op: Operation, plan: Plan, report: PoolReport, *, degraded: bool = False
    ) -> AsyncIterator[PoolReport]:
        """Keep the pool running while its content is read; stop it again if it did not run before.
        ``degraded``: open it without absent members, which are stale from then on."""
        place = self._place(plan)
        paths = mounts_of(self._core.observer.snapshot, report)
        # An agent that was killed in such a look left it mounted there.
        mounted = any(path != str(place) for path in paths)
        if report.presence == "active" and (mounted or plan.delivers == "block"):
            yield report
            return
        self._refuse_absent(plan)
        update = {"native_id": report.native_id, "mount_path": str(place)}
        spec = plan.pool.model_copy(update=update)
        if plan.delivers == "filesystem":
            self._core.machine.directories.make_directories(place, 0o700)
        try:
            draft = await self._core.host.plan_open(plan.backend, spec, report, degraded)
            goal = steps.own_mount(str(place), plan.delivers)
            opening = self._compose("open", plan, spec, draft, goal=goal)
            await self._core.executor.run_unjournalled(op, opening)
            yield await self._running(plan)
        finally:
            await self._close(op, plan, spec)
            self._core.machine.directories.remove_directories((place,))

    async def _close(self, op: Operation, plan: Plan, spec: PoolSpec) -> None:
        try:
            report = await self._running(plan)
            paths = mounts_of(self._core.observer.snapshot, report)
            draft = await self._core.host.plan_close(plan.backend, spec, report)
            unmounts = tuple(steps.unmount(path) for path in reversed(paths))
            closing = self._compose("close", plan, spec, draft, unmounts)
            await self._core.executor.run_unjournalled(op, closing)
        except BackyError as error:
            op.outputs.append(f"# the pool stays open: {error}")

    def _compose(
        self,
        kind: str,
        plan: Plan,
        spec: PoolSpec,
        draft: BackendPlan,
        before: tuple[Step, ...] = (),
        goal: tuple[Condition, ...] = (),
    ) -> Plan:
        return compose(
            kind,
            self._core,
            spec,
            plan.backend,
            draft=draft,
            steps=(*before, *draft.steps),
            drives=plan.drives,
            goal=goal,
        )

    def _refuse_absent(self, plan: Plan) -> None:
        """Opening a pool without a member would leave that member behind."""
        connected = self._core.observer.snapshot.connected
        absent = [drive.serial for drive in plan.drives if drive.serial not in connected]
        if absent:
            raise SystemFailure(f"drive {', '.join(absent)} is not connected")

    async def _running(self, plan: Plan) -> PoolReport:
        report = await self._core.executor.resolver.report(plan)
        if report is None or report.presence != "active":
            raise SystemFailure("the pool does not run")
        return report

    async def _on_device(self, entry: JournalEntry, report: PoolReport) -> str | None:
        if mounts_of(self._core.observer.snapshot, report):
            return await self._at_mount(entry.opened.plan, report)
        node = f"/dev/{report.device}"
        found = (await self._core.machine.signatures.probe([node]))[report.device or ""]
        if not found:
            return None
        if len(found) > 1 or not filesystems.is_known(found[0].type):
            return f"holds {', '.join(map(str, found))}, which its creation did not make"
        return await self._in_filesystem(entry, node, found[0])

    async def _in_filesystem(
        self, entry: JournalEntry, node: str, filesystem: Signature
    ) -> str | None:
        makes_filesystem = any(isinstance(step.run, MakeFilesystem) for step in entry.ever_begun())
        ours = filesystem.uuid == entry.opened.plan.pool.fs_uuid
        if ours and not makes_filesystem:
            return f"holds {filesystem}, which the journal says was not made yet"
        look = partial(self._core.machine.contents.names_inside, node, filesystem.type)
        try:
            return _listed(
                await self._core.machine.threads.in_thread(look, f"read {node}", _LOOK_S)
            )
        except TimeoutError as error:
            raise SystemFailure(f"{node} does not answer") from error
        except OSError as error:
            # What shows through from an earlier use of the drives is often not whole.
            if not (ours or makes_filesystem) and error.errno in _NO_FILESYSTEM:
                return None
            raise SystemFailure(f"{filesystem} cannot be read", details=str(error)) from error

    async def _at_mount(self, plan: Plan, report: PoolReport) -> str | None:
        """Describe foreign content of a pool mounted by the plan or for this check."""
        snapshot = self._core.observer.snapshot
        paths, visible = mounts_of(snapshot, report), reachable(snapshot, report)
        allowed = (plan.pool.mount_path, str(self._place(plan)))
        strange = [path for path in paths if path not in allowed]
        if strange:
            return f"is mounted at {strange[0]}, where its creation did not mount it"
        if not visible:
            raise SystemFailure("its filesystem is not mounted where it can be read")
        look = partial(self._core.machine.contents.names_in, visible[-1])
        try:
            return _listed(
                await self._core.machine.threads.in_thread(look, f"read {visible[-1]}", _LOOK_S)
            )
        except (OSError, TimeoutError) as error:
            reason = str(error) or "it does not answer"
            raise SystemFailure(f"{visible[-1]} cannot be read", details=reason) from error

    def _place(self, plan: Plan) -> Path:
        """The mount path for reading a pool that delivers its own filesystem."""
        return self._core.settings.runtime_dir.resolve() / f"look-{plan.pool.guid}"


def _is_part_of_what_was_made(report: PoolReport) -> bool:
    """Whether the pool lacks members that are on no connected drive, as after a power cut between
    the first and the last drive that its creation stamped. Opening it without them makes no
    connected drive stale."""
    connected = [member for member in report.members if member.drive is not None]
    return report.degraded and all(member.state == "active" for member in connected)


def _beside(report: PoolReport) -> str:
    return f"holds {', '.join(report.others)}, which its creation did not make"


def _listed(names: tuple[str, ...]) -> str | None:
    if not names:
        return None
    more = ", …" if len(names) > _SHOWN else ""
    return f"holds {', '.join(map(repr, names[:_SHOWN]))}{more}"
