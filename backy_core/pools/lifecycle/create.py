"""Create a pool, or leave its drives as they were.

Goes back until its commit, unless its pool is known or holds what it did not make: a journal may be
older than the pool.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, NamedTuple

from backy_core.machine import inventory
from backy_core.machine.inventory import Drive
from backy_core.machine.snapshot import Snapshot
from backy_core.operations import filesystems
from backy_core.operations.claims import Claim
from backy_core.operations.journal import Commit, JournalEntry
from backy_core.operations.kinds import OperationKind
from backy_core.operations.records import Operation, OperationState
from backy_core.plugins.layering import clear_device
from backy_core.pools.admission import geometry, guards, portability
from backy_core.pools.core import Core, compose, doubtful, expected
from backy_core.pools.lifecycle import steps
from backy_core.pools.lifecycle.contents import PoolContents, keep_or_erase
from backy_core.pools.lifecycle.verb import RESTARTED, Direction, PlannedVerb, committing
from backy_core.pools.views import Creation
from backy_core.sdk.advice import Hint, Text, Verb, advise
from backy_core.sdk.errors import Conflict, SystemFailure
from backy_core.sdk.models import Delivers, PoolSpec, SignatureMatch
from backy_core.sdk.plan import Plan, Step
from backy_core.store.metadata import PoolEntry
from backy_core.store.opens_on import OpensOn

ROLLED_BACK = "The agent restarted while this pool was being created; everything was rolled back"
STUCK = (
    "The agent restarted while this pool was being created; the roll-back failed, so its "
    "drives are quarantined"
)
KEPT = "The agent restarted while this pool was being created; nothing was erased"


class PoolKept(SystemFailure):
    """A creation was not rolled back: its pool stays ``failed`` until somebody decides."""

    @property
    def explained(self) -> Text:
        said = super().explained
        return advise(said, ". ", self.hint) if self.hint else said


class Admitted(NamedTuple):
    """A creation whose every check passed: its plan and what to commit when it is done."""

    plan: Plan
    entry: PoolEntry


class Create(PlannedVerb[Creation, Admitted]):
    kind = OperationKind.CREATE
    plan_kind = "create"
    direction = Direction.BACK
    cancellable = True

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._contents = PoolContents(core)

    def fingerprint(self, request: Creation) -> str:
        return request.fingerprint

    def claims(self, request: Creation) -> tuple[Claim, ...]:
        of_drives = tuple(Claim("drive", serial) for serial in request.drive_serials)
        return (*of_drives, Claim("mount", request.mount_path))

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
            self.kind,
            creation.guid,
            self.fingerprint(creation),
            self.claims(creation),
            lambda op: self.run(op, creation.guid, creation),
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

    async def dry_run(self, creation: Creation) -> Admitted:
        """Plan what :meth:`start` would do now. Reserve nothing."""
        if self._core.metadata.get(creation.guid) is not None:
            raise Conflict(f"Pool {creation.guid} already exists")
        self._refuse_used_guid(creation)
        return await self._admitted(creation, None)

    def _same_pool(self, entry: PoolEntry, creation: Creation) -> None:
        requested = (
            set(creation.drive_serials),
            creation.backend,
            creation.label,
            creation.mount_path,
        )
        existing = (set(entry.drive_serials), entry.backend, entry.label, entry.last_mount_path)
        kind = (creation.level, creation.filesystem, creation.portability, creation.layers)
        portability = entry.portability or creation.portability
        kind_there = (entry.level, entry.filesystem, portability, entry.layers)
        if requested != existing or kind != kind_there:
            raise Conflict(
                f"Pool {creation.guid} already exists and differs from the request",
                hint="Use another GUID, or leave poolGroupGuid out",
            )

    def _refuse_used_guid(self, creation: Creation) -> None:
        core, guid = self._core, creation.guid
        past = core.registry.of_pool(guid)
        if any(
            op.kind is OperationKind.DELETE and op.state is OperationState.SUCCEEDED for op in past
        ):
            raise Conflict(f"Pool {guid} was deleted; a GUID is never reused")
        if core.tombstones.get(guid) is not None:
            raise Conflict(
                f"Pool {guid} was deleted while drives were absent; a GUID is never reused"
            )
        if core.pending_of(guid):
            raise Conflict(
                f"An earlier creation of pool {guid} is not rolled back yet",
                hint=advise(Hint(Verb.TEARDOWN, guid), " tries again"),
            )

    async def admit(self, op: Operation, guid: str, request: Creation) -> Admitted:
        admitted = await self._admitted(request, op.id)
        # What holds a drive may be seen by no list: the second disk of a mounted btrfs.
        await self._core.executor.open_all(admitted.plan)
        return admitted

    def subject(self, case: Admitted) -> dict[str, Any]:
        return {"entry": case.entry.as_json()}

    async def perform(self, op: Operation, journal: JournalEntry, case: Admitted) -> Commit:
        registry = self._core.registry
        for old in registry.of_pool(op.guid):  # a failed record is replaced by the new creation
            if old is not op and not old.running:
                registry.discard(old)
        await self._core.executor.run(op, journal, case.plan)
        op.check_cancelled()
        return committing(await self._made(op, case.entry))

    async def _made(self, op: Operation, promised: PoolEntry) -> PoolEntry:
        """The entry, right after the goal was reached: from the snapshot that showed it."""
        snapshot = self._core.observer.snapshot
        report = self._core.find_report(promised, snapshot)
        device = report.device if report else None
        opens_on = await portability.seen(self._core, promised, report, device)
        if promised.portability == "portable" and opens_on and opens_on.told:
            op.outputs.append(f"# not every supported system opens this pool: {opens_on.told}")
        return promised.model_copy(update={"md_device_name": device, "opens_on": opens_on})

    async def conclude(self, op: Operation, journal: JournalEntry) -> None:
        if self._is_known(journal):  # and may have learnt since
            await self._core.settle(journal)
        else:
            await super().conclude(op, journal)

    def _is_known(self, journal: JournalEntry) -> bool:
        """Whether the metadata has the pool, so that its creation was committed."""
        return self._core.metadata.get(journal.opened.plan.pool.guid) is not None

    async def go_back(self, op: Operation, journal: JournalEntry) -> None:
        """Take back what the creation itself made, and nothing else."""
        core = self._core
        if self._is_known(journal):
            await core.settle(journal)
            return
        await self._refuse_used(op, journal)
        leftovers = await core.undo(op, journal, RESTARTED)
        if leftovers.clean:
            await core.settle(journal)
            raise SystemFailure(ROLLED_BACK)
        await core.keep(journal, str(leftovers), doubtful(journal.opened.plan, leftovers))
        raise SystemFailure(STUCK, details=str(leftovers))

    async def _refuse_used(self, op: Operation, journal: JournalEntry) -> None:
        """Keep a pool that has been used since the journal was written, and ask."""
        guid = journal.opened.plan.pool.guid
        try:
            held = await self._contents.foreign(op, journal)
            because = f"Pool {guid} {held}" if held else None
        except Exception as error:
            if journal.undoing:  # its members may be wiped in part: it was looked into before
                return
            held, because = None, f"Pool {guid} cannot be inspected: {expected(error)}"
        if because is None:
            return
        drives = dict.fromkeys((drive.serial for drive in journal.plan.drives), because)
        await self._core.keep(journal, because, drives, holds_data=held is not None)
        raise PoolKept(KEPT, details=because, hint=keep_or_erase(guid) if held else None)

    async def _admitted(self, creation: Creation, operation: str | None) -> Admitted:
        core = self._core
        snapshot = await core.observer.refresh_for(
            creation.backend,
            fresh_signatures_of=guards.nodes_of(core, creation.drive_serials),
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
        guards.check_tools(core, creation, _filesystem_program(core, creation))
        pool = _spec(creation, drives_found)
        draft = await core.host.plan_create(creation.backend, pool, pool.drives)
        directory = (steps.make_directory(creation.mount_path, missing),) if missing else ()
        wiping = (
            steps.wipe_content(drive.id, bears)
            for drive in drives_found
            if (bears := _content(drive, snapshot))
        )
        making = _filesystem_steps(pool, draft.delivers)
        plan = compose(
            "create",
            core,
            pool,
            creation.backend,
            draft=draft,
            steps=(*directory, *wiping, *draft.steps, *making),
            drives=pool.drives,
            new_pool=True,
            new_members=pool.drives,
            goal=steps.made(creation.mount_path, draft),
        )
        opens_on = portability.planned(core, creation.backend, pool, draft)
        now = core.clock.now()
        return Admitted(plan, _entry(now, creation, pool, missing, draft.delivers, opens_on))

    async def _refuse_unavailable(
        self, creation: Creation, matches: list[Drive], snapshot: Snapshot, operation: str | None
    ) -> None:
        pools = guards.known_pools(self._core)
        for drive in matches:
            error = guards.unavailable(
                self._core,
                drive,
                snapshot,
                pools=pools,
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
                f"A drive already carries the GUID {guid}",
                hint="Import that pool, or use another GUID",
            )


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
        clear_device(),
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
        layers=creation.layers,
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
        layers=creation.layers,
    )
