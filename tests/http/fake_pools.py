"""Pools in memory: what they were not told exists does not exist.

Their operations are real ones in a real registry, so tests see the agent's own life cycle.
:attr:`FakePools.gate` holds running work where a test wants it held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from backy_core.operations.kinds import OperationKind
from backy_core.operations.records import Operation
from backy_core.operations.registry import OperationRegistry
from backy_core.pools.reading.members import Consent
from backy_core.pools.reading.mounted import MountedPool
from backy_core.pools.service import PoolService
from backy_core.pools.views import (
    CreateRequest,
    DriveView,
    ImportablePool,
    MountMember,
    PlannedCreation,
    PlannedMount,
    PlannedStep,
    PoolState,
    PoolView,
    PoolViews,
)
from backy_core.sdk.errors import Conflict, NotFound, PoolBusy
from backy_core.store.changes import Changes
from backy_core.store.metadata import PoolEntry
from backy_core.store.opens_on import OpensOn
from backy_core.system.mounts import MountEntry, Usage
from backy_core.system.procs import ProcessInfo

GUID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
OTHER = "11111111-2222-4333-8444-555555555555"
MOUNT = f"/mnt/backy/{GUID}"


OPENS_ON = OpensOn(
    kernel="6.19",
    tools={"mdadm": "4.2", "e2fsprogs": "1.47.0"},
    because=("md logical block size: Linux 6.19",),
    checked=("mdadm metadata", "ext4 superblock"),
)


def member(serial: str, status: str = "active") -> DriveView:
    return DriveView(
        serial=serial, label=f"label-{serial}", status=status, is_connected=status == "active"
    )


def standing_pool(state: PoolState = PoolState.READY, guid: str = GUID) -> PoolView:
    mounted = state is PoolState.READY
    return PoolView(
        guid=guid,
        label="backup-1",
        state=state,
        pool_status="active" if mounted else None,
        backend="mdadm",
        level="raid1",
        filesystem="ext4",
        device="md127" if mounted else None,
        mount_path=f"/mnt/backy/{guid}",
        created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        usage=Usage(1000204851200, 49882792960, 947776051200) if mounted else None,
        drives=(member("drive-scsi1"), member("drive-scsi2")),
        is_mounted=mounted,
        portability="portable",
        opens_on=OPENS_ON,
    )


PROCESS = ProcessInfo(4242, "tail -f /mnt/x/log", "root", "/mnt/x/log", "tail", 1)
Work = Callable[[Operation], Awaitable[None]]


class FakePools(PoolService):
    """Overrides every use case; what it does not override has no parts to run on."""

    default_backend = "mdadm"

    def __init__(self, operations: OperationRegistry, changes: Changes) -> None:
        self.registry = operations
        self.changes = changes
        self.known: dict[str, PoolView] = {}
        self.lines: dict[str, list[str]] = {}
        self.busy: set[str] = set()
        self.requests: list[CreateRequest] = []
        self.forced: list[tuple[bool, str | None]] = []
        self.consents: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
        self.added: list[tuple[str | None, str | None, str | None, bool]] = []
        self.killed: list[tuple[tuple[int, ...], str | None]] = []
        self.read_by_operator: list[bool] = []
        self.finished: list[OperationKind] = []
        self.admission = asyncio.Event()
        self.gate = asyncio.Event()
        self.admission.set()
        self.gate.set()
        self.broken: Exception | None = None
        self.found: tuple[ImportablePool, ...] = ()

    def add(self, pool: PoolView) -> PoolView:
        self.known[pool.guid] = pool
        self.changes.tell()
        return pool

    async def get(self, guid: str) -> PoolView:
        if self.broken is not None:
            raise self.broken
        if guid not in self.known:
            raise NotFound(f"There is no pool {guid}")
        return self.known[guid]

    async def list(
        self,
        *,
        backend: str | None = None,
        state: str | None = None,
        usage_within_s: float | None = None,
    ) -> PoolViews:
        hidden = (PoolState.FAILED, PoolState.DELETED)
        return PoolViews(
            pool
            for pool in self.known.values()
            if (pool.state == state if state else pool.state not in hidden)
            and backend in (None, pool.backend)
        )

    async def create(self, request: CreateRequest) -> tuple[str, Operation]:
        await self.admission.wait()
        guid = request.guid or OTHER
        self.requests.append(request)

        async def work(op: Operation) -> None:
            drives = tuple(member(serial) for serial in request.drive_serials)
            self.add(PoolView(guid, request.label, PoolState.CREATING, drives=drives))
            op.accept()
            op.report(1, 6, "Creating the array")
            await self._pass_gate(op)
            self.add(replace(standing_pool(guid=guid), label=request.label))

        return guid, await self._begin(OperationKind.CREATE, guid, work)

    async def dry_run(self, request: CreateRequest) -> PlannedCreation:
        steps = (
            PlannedStep("Create the array", "mdadm --create …", "mdadm --stop", "destroys"),
            PlannedStep("Make the filesystem", "mkfs.ext4 …", None, "none"),
        )
        portable = request.portability == "portable"
        return PlannedCreation(steps, request.portability, OPENS_ON if portable else None)

    async def outputs(
        self, guid: str, offset: int = 0, *, by_operator: bool = True
    ) -> tuple[tuple[str, ...], int]:
        self.read_by_operator.append(by_operator)
        if guid not in self.lines:
            raise NotFound(f"No outputs of pool {guid} are kept")
        return tuple(self.lines[guid][offset:]), len(self.lines[guid])

    async def plan_mount(
        self, guid: str, mount_path: str | None = None, *, force: bool = False
    ) -> PlannedMount:
        pool = await self.get(guid)
        step = PlannedStep("Mount it", f"mount {mount_path or pool.mount_path}", None, "none")
        behind = MountMember("drive-scsi2", "stale", "3 events behind (4 of 7)")
        return PlannedMount(
            steps=(step,),
            members=(MountMember("drive-scsi1", "active", None), behind),
            may_be_lost="Some may be lost." if force else None,
        )

    async def plan_unmount(self, guid: str) -> tuple[PlannedStep, ...]:
        return await self._planned(guid, "Unmount it")

    async def plan_delete(self, guid: str, consent: Consent) -> tuple[PlannedStep, ...]:
        return await self._planned(guid, "Wipe it", "destroys")

    async def plan_add_drive(self, guid: str, **request: object) -> tuple[PlannedStep, ...]:
        return await self._planned(guid, f"Add {request['serial']}")

    async def _planned(
        self, guid: str, title: str, effect: str = "none"
    ) -> tuple[PlannedStep, ...]:
        await self.get(guid)
        return (PlannedStep(title, f"do --{title.lower().replace(' ', '-')}", None, effect),)

    async def mount(
        self,
        guid: str,
        mount_path: str | None = None,
        *,
        degraded: bool = True,
        force: bool = False,
        label: str | None = None,
    ) -> Operation:
        pool = await self.get(guid)
        self.forced.append((force, label))
        path = mount_path or pool.mount_path
        if pool.state is PoolState.READY and path != pool.mount_path:
            raise Conflict(f"Pool backup-1 is mounted at {pool.mount_path}")

        async def work(op: Operation) -> None:
            op.accept()
            op.outputs.append(f"$ mount {path}")
            await self._pass_gate(op)
            self.add(replace(standing_pool(guid=guid), mount_path=path))

        return await self._begin(OperationKind.MOUNT, guid, work, path)

    async def unmount(self, guid: str) -> Operation:
        return await self._leave(OperationKind.UNMOUNT, guid, PoolState.UNMOUNTED)

    async def delete(
        self,
        guid: str,
        *,
        wipe: bool = False,
        wipe_copies: Sequence[str] = (),
        destroy_others: Sequence[str] = (),
    ) -> Operation:
        self.consents.append((tuple(wipe_copies), tuple(destroy_others)))
        return await self._leave(OperationKind.DELETE, guid, PoolState.DELETED)

    async def _leave(self, kind: OperationKind, guid: str, then: PoolState) -> Operation:
        pool = await self.get(guid)

        async def work(op: Operation) -> None:
            op.accept()
            op.outputs.append(f"$ umount {pool.mount_path}")
            await self._pass_gate(op)
            if guid in self.busy:
                raise PoolBusy(
                    f"Cannot unmount {pool.mount_path}: target is busy", details="tail (pid 4242)"
                )
            absent = [drive.serial for drive in pool.drives if not drive.is_connected]
            if absent:
                op.message = f"Absent drives still hold it: {', '.join(absent)}"
            self.add(replace(pool, state=then, pool_status=None, device=None, is_mounted=False))

        return await self._begin(kind, guid, work)

    async def rename(
        self, guid: str, label: str | None, drive_labels: dict[str, str] | None
    ) -> PoolView:
        pool = await self.get(guid)
        labels = drive_labels or {}
        drives = tuple(d._replace(label=labels.get(d.serial, d.label)) for d in pool.drives)
        return self.add(replace(pool, label=label or pool.label, drives=drives))

    async def add_drive(
        self,
        guid: str,
        *,
        serial: str | None,
        dev_path: str | None,
        replaces: str | None,
        wipe: bool,
    ) -> Operation:
        await self.get(guid)
        self.added.append((serial, dev_path, replaces, wipe))
        return await self._begin(OperationKind.ADD, guid, self._take)

    async def _take(self, op: Operation) -> None:
        op.accept()
        op.report(1, 1, "Adding the drive")
        await self._quickly(op)

    async def processes(self, guid: str) -> tuple[ProcessInfo, ...]:
        await self.get(guid)
        return (PROCESS,) if guid in self.busy else ()

    async def mounted_pool(self, path: str) -> MountedPool:
        place = "/" + path.strip("/")
        pool = self.known[self.guid_of_mount(place)]
        entry = PoolEntry(guid=pool.guid, label=pool.label)
        mount = MountEntry("9:127", "/", place, frozenset({"rw"}), "ext4", "/dev/md127")
        return MountedPool(entry, mount)

    async def mount_usage(self, path: str) -> Usage:
        self.guid_of_mount(path)
        return Usage(size=1000, used=400, available=500)

    def guid_of_mount(self, path: str) -> str:
        for pool in self.known.values():
            if pool.is_mounted and pool.mount_path == path:
                return pool.guid
        raise NotFound(f"No pool is mounted at {path}")

    async def kill(self, guid: str, pids: Sequence[int], action: str | None) -> Operation:
        await self.get(guid)
        self.killed.append((tuple(pids), action))
        self.busy.discard(guid)
        return await self._begin(OperationKind.KILL, guid, self._quickly)

    async def importable(self) -> tuple[ImportablePool, ...]:
        return self.found

    async def import_pool(self, guid: str, label: str | None, mount_path: str | None) -> PoolView:
        if guid not in [pool.guid for pool in self.found]:
            raise NotFound(f"There is no importable pool {guid}")
        pool = standing_pool(PoolState.UNMOUNTED, guid)
        return self.add(replace(pool, label=label or "found", mount_path=mount_path))

    async def forget(self, guid: str) -> None:
        await self.get(guid)
        del self.known[guid]
        self.changes.tell()

    async def forget_all(self) -> int:
        count = len(self.known)
        self.known.clear()
        return count

    async def validate_metadata(self) -> int:
        return 2

    async def _begin(
        self, kind: OperationKind, guid: str, work: Work, fingerprint: str | None = ""
    ) -> Operation:
        operation = self.registry.start(kind, guid, fingerprint or "", (), work)
        await operation.accepted()
        return operation

    async def _quickly(self, op: Operation) -> None:
        op.accept()
        op.outputs.append(f"$ {op.kind}")

    async def _pass_gate(self, op: Operation) -> None:
        """Held until the gate opens; a cancelled operation gets through at once."""
        waits = [
            asyncio.create_task(self.gate.wait()),
            asyncio.create_task(op.cancel_requested.wait()),
        ]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        op.check_cancelled()
        self.finished.append(op.kind)
