"""Create a pool: admit, plan, journal, run and commit, or roll back."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import NamedTuple

from backy_core.machine import inventory
from backy_core.machine.inventory import Drive
from backy_core.machine.snapshot import Snapshot
from backy_core.operations import filesystems
from backy_core.operations.claims import Claim
from backy_core.operations.journal import Commit, JournalEntry
from backy_core.operations.kinds import OperationKind
from backy_core.operations.records import Operation, OperationState
from backy_core.pools.admission import geometry, guards, portability
from backy_core.pools.core import Core, compose, expected
from backy_core.pools.lifecycle import steps
from backy_core.pools.views import Creation
from backy_core.sdk.advice import Hint, Verb, advise
from backy_core.sdk.errors import Conflict
from backy_core.sdk.models import Delivers, PoolSpec, SignatureMatch
from backy_core.sdk.plan import Plan, Step
from backy_core.store.metadata import PoolEntry
from backy_core.store.opens_on import OpensOn


class Admitted(NamedTuple):
    """A creation whose every check passed: its plan and what to commit when it is done."""

    plan: Plan
    entry: PoolEntry


class PoolCreation:
    def __init__(self, core: Core) -> None:
        self._core = core

    def start(self, creation: Creation) -> Operation | None:
        """Start, join, or (None) find that this very pool exists already.

        Raises :class:`Conflict` for a GUID that means something else.
        """
        entry = self._core.metadata.get(creation.guid)
        if entry is not None:
            self._same_pool(entry, creation)
            return None
        if (interrupted := self._rolled_back(creation)) is not None:
            return interrupted
        self._refuse_used_guid(creation)
        op = self._core.registry.start(
            OperationKind.CREATE,
            creation.guid,
            creation.fingerprint,
            _claims(creation),
            lambda op: self._run(op, creation),
            label=creation.label,
        )
        op.subject = creation
        return op

    def _rolled_back(self, creation: Creation) -> Operation | None:
        """The roll-back that runs of this very creation: its end is the request's answer."""
        running = self._core.registry.running_on(creation.guid)
        if running is None or not running.recovers or running.kind is not OperationKind.CREATE:
            return None
        for entry in self._core.pending_of(creation.guid):
            if (promised := entry.opened.subject.get("entry")) is not None:
                self._same_pool(PoolEntry.model_validate(promised), creation)
                return running
        return None

    async def plan(self, creation: Creation) -> Admitted:
        """Plan what :meth:`start` would do now. Reserve nothing."""
        if self._core.metadata.get(creation.guid) is not None:
            raise Conflict(f"Pool {creation.guid} exists already")
        self._refuse_used_guid(creation)
        return await self._admit(creation, None)

    def _same_pool(self, entry: PoolEntry, creation: Creation) -> None:
        requested = (
            set(creation.drive_serials),
            creation.backend,
            creation.label,
            creation.mount_path,
        )
        existing = (set(entry.drive_serials), entry.backend, entry.label, entry.last_mount_path)
        kind = (creation.level, creation.filesystem, creation.portability)
        portability = entry.portability or creation.portability
        if requested != existing or kind != (entry.level, entry.filesystem, portability):
            raise Conflict(
                f"Pool {creation.guid} exists already and is not what is asked for",
                hint="Use another GUID, or leave poolGroupGuid out",
            )

    def _refuse_used_guid(self, creation: Creation) -> None:
        core, guid = self._core, creation.guid
        past = core.registry.of_pool(guid)
        if any(
            op.kind is OperationKind.DELETE and op.state is OperationState.SUCCEEDED for op in past
        ):
            raise Conflict(f"Pool {guid} was deleted; a GUID is never used again")
        if core.tombstones.get(guid) is not None:
            raise Conflict(
                f"Pool {guid} was deleted while drives were absent; a GUID is never used again"
            )
        if core.pending_of(guid):
            raise Conflict(
                f"An earlier creation of pool {guid} is not undone yet",
                hint=advise(Hint(Verb.TEARDOWN, guid), " tries again"),
            )

    async def _run(self, op: Operation, creation: Creation) -> None:
        core = self._core
        earlier = [o for o in core.registry.of_pool(creation.guid) if o is not op and not o.running]
        admitted = await self._admit(creation, op.id)
        # What holds a drive may be seen by no list: the second disk of a mounted btrfs.
        await core.executor.open_all(admitted.plan)
        entry = await core.open_journal(op, admitted.plan, {"entry": _dump(admitted.entry)})
        for old in earlier:  # a failed record is replaced by the new creation
            core.registry.discard(old)
        with core.observer.quiet():
            try:
                await core.executor.run(op, entry, admitted.plan)
                op.check_cancelled()
                created = await self._commit(op, entry, admitted)
            except Exception as error:
                raise await core.fail(op, entry, expected(error)) from error
            await core.remember(entry, created)

    async def _commit(self, op: Operation, entry: JournalEntry, admitted: Admitted) -> PoolEntry:
        """Commit, right after the goal was reached. If this cannot be recorded, the creation is
        rolled back."""
        snapshot, promised = self._core.observer.snapshot, admitted.entry
        report = snapshot.report_for(promised.backend, promised.native_id or "")
        device = report.device if report else None
        opens_on = await portability.seen(self._core, promised, report, device)
        if promised.portability == "portable" and opens_on and opens_on.told:
            op.outputs.append(f"# not every supported system opens this pool: {opens_on.told}")
        updated = promised.model_copy(update={"md_device_name": device, "opens_on": opens_on})
        await entry.append(Commit(entry=_dump(updated)))
        return updated

    async def _admit(self, creation: Creation, operation: str | None) -> Admitted:
        core = self._core
        snapshot = await core.observer.refresh(
            fresh_signatures_of=guards.nodes_of(core, creation.drive_serials)
        )
        drives_found = [
            inventory.find(snapshot.drives, serial) for serial in creation.drive_serials
        ]
        await self._refuse_unavailable(creation, drives_found, snapshot, operation)
        geometry.refuse_mixed_sectors(core, creation.backend, drives_found)
        await guards.refuse_writers(core, drives_found)
        self._refuse_guid_on_disk(creation.guid, snapshot)
        missing = await guards.missing_directories(
            core, creation.mount_path, snapshot, creation.guid
        )
        guards.check_tools(core, creation.backend, _filesystem_program(core, creation))
        pool = _spec(creation, drives_found)
        draft = await core.host.plan_create(creation.backend, pool, pool.drives)
        plan_steps: list[Step] = []
        if missing:
            plan_steps.append(steps.make_directory(creation.mount_path, missing))
        plan_steps += [
            steps.wipe_content(drive.id, bears)
            for drive in drives_found
            if (bears := _content(drive, snapshot))
        ]
        plan_steps += draft.steps
        plan_steps += _filesystem_steps(pool, draft.delivers)
        plan = compose(
            "create",
            core,
            pool,
            creation.backend,
            draft=draft,
            steps=tuple(plan_steps),
            drives=pool.drives,
            goal=steps.made(creation.mount_path, draft),
        )
        info = core.host.backends[creation.backend].info
        opens_on = portability.planned(info, pool, draft)
        now = core.clock.now()
        return Admitted(plan, _entry(now, creation, pool, missing, draft.delivers, opens_on))

    async def _refuse_unavailable(
        self, creation: Creation, matches: list[Drive], snapshot: Snapshot, operation: str | None
    ) -> None:
        labels = guards.pool_labels_by_serial(self._core)
        for drive in matches:
            error = guards.unavailable(
                self._core,
                drive,
                snapshot,
                labels=labels,
                operation=operation,
                consent=creation.wipe,
            )
            if error is not None:
                raise error

    def _refuse_guid_on_disk(self, guid: str, snapshot: Snapshot) -> None:
        """A stale half under the same UUID makes mdadm refuse both good ones."""
        reported = any(
            guid in (report.guid, report.native_id)
            for reports in snapshot.reports.values()
            for report in reports
        )
        stamped = any(
            guid in (signature.uuid or "") or guid in (signature.label or "")
            for signatures in snapshot.signatures.values()
            for signature in signatures
        )
        if reported or stamped:
            raise Conflict(
                f"A drive bears the GUID {guid} already",
                hint="Import that pool, or use another GUID",
            )


def _claims(creation: Creation) -> tuple[Claim, ...]:
    of_drives = tuple(Claim("drive", serial) for serial in creation.drive_serials)
    return (*of_drives, Claim("mount", creation.mount_path))


def _content(drive: Drive, snapshot: Snapshot) -> tuple[SignatureMatch, ...]:
    """The drive's signatures, each kind once: a member of a zpool has hundreds of the same."""
    matches = (signature.as_match() for signature in snapshot.signatures_of(drive))
    return tuple(dict.fromkeys(matches))


def _filesystem_program(core: Core, creation: Creation) -> tuple[str, str] | None:
    if core.host.backends[creation.backend].info.delivers != "block":
        return None
    filesystem = filesystems.known(creation.filesystem)
    return filesystem.program, filesystem.package


def _filesystem_steps(pool: PoolSpec, delivers: str) -> tuple[Step, ...]:
    if delivers != "block":
        return ()
    assert pool.filesystem and pool.fs_uuid and pool.mount_path
    return (
        steps.clear_device(),
        steps.make_filesystem(pool.filesystem, pool.fs_uuid, pool.label, pool.portability),
        steps.mount(pool.mount_path, pool.filesystem, pool.fs_uuid),
    )


def _spec(creation: Creation, matches: list[Drive]) -> PoolSpec:
    return PoolSpec(
        guid=creation.guid,
        label=creation.label,
        level=creation.level,
        filesystem=creation.filesystem,
        fs_uuid=str(uuid.uuid4()),
        mount_path=creation.mount_path,
        drives=tuple(drive.id for drive in matches),
        portability=creation.portability,
    )


def _entry(
    now: datetime,
    creation: Creation,
    pool: PoolSpec,
    missing: tuple[str, ...],
    delivers: Delivers,
    opens_on: OpensOn | None,
) -> PoolEntry:
    return PoolEntry(
        guid=creation.guid,
        label=creation.label,
        backend=creation.backend,
        level=creation.level,
        filesystem=creation.filesystem,
        drive_serials=creation.drive_serials,
        drive_labels=creation.drive_labels,
        created_at=now,
        last_mount_path=creation.mount_path,
        is_mounted=True,
        native_id=creation.guid,
        fs_uuid=pool.fs_uuid if delivers == "block" else None,
        drive_ids=pool.drives,
        made_directories=missing,
        portability=creation.portability,
        opens_on=opens_on,
    )


def _dump(entry: PoolEntry) -> dict[str, object]:
    return entry.model_dump(mode="json", by_alias=True)
