"""A strict, stateful agent in memory: what it was not told exists does not exist.

It keeps real operations in a real registry, so tests see the agent's own life cycle; only disks
are missing. :attr:`FakePools.gate` holds running work where a test wants it held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from backy_core.operations.kinds import OperationKind
from backy_core.operations.records import Operation
from backy_core.operations.registry import OperationRegistry
from backy_core.operations.retention import Limits
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
)
from backy_core.sdk.errors import Conflict, NotFound, PoolBusy
from backy_core.sdk.models import BackendInfo, Level, Tool
from backy_core.store.opens_on import OpensOn

KEY = "test-key-3f0c"
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
        size=1000204851200,
        used=52428800,
        available=947776051200,
        use_percent=5,
        drives=(member("drive-scsi1"), member("drive-scsi2")),
        is_mounted=mounted,
        portability="portable",
        opens_on=OPENS_ON,
    )


@dataclass(frozen=True)
class FakeProcess:
    pid: int = 4242
    command: str = "tail -f /mnt/x/log"
    user: str = "root"
    path: str = "/mnt/x/log"
    name: str = "tail"


@dataclass(frozen=True)
class FakeUsage:
    size: int = 1000
    used: int = 400
    available: int = 500
    use_percent: int = 45


Work = Callable[[Operation], Awaitable[None]]


class FakePools:
    def __init__(self, operations: OperationRegistry) -> None:
        self.registry = operations
        self.known: dict[str, PoolView] = {}
        self.lines: dict[str, list[str]] = {}
        self.busy: set[str] = set()
        self.requests: list[CreateRequest] = []
        self.forced: list[tuple[bool, str | None]] = []
        self.consents: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
        self.added: list[tuple[str | None, str | None, str | None, bool]] = []
        self.killed: list[tuple[tuple[int, ...], str | None]] = []
        self.finished: list[OperationKind] = []
        self.admission = asyncio.Event()
        self.gate = asyncio.Event()
        self.admission.set()
        self.gate.set()
        self.broken: Exception | None = None
        self.found: tuple[ImportablePool, ...] = ()

    def add(self, pool: PoolView) -> PoolView:
        self.known[pool.guid] = pool
        return pool

    async def get(self, guid: str) -> PoolView:
        if self.broken is not None:
            raise self.broken
        if guid not in self.known:
            raise NotFound(f"There is no pool {guid}")
        return self.known[guid]

    async def list(
        self, *, backend: str | None = None, state: str | None = None
    ) -> tuple[PoolView, ...]:
        hidden = (PoolState.FAILED, PoolState.DELETED)
        return tuple(
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
            self.add(standing_pool(guid=guid)._replace(label=request.label))

        return guid, await self._start(OperationKind.CREATE, guid, work)

    async def dry_run(self, request: CreateRequest) -> PlannedCreation:
        steps = (
            PlannedStep("Create the array", "mdadm --create …", "mdadm --stop", "destroys"),
            PlannedStep("Make the filesystem", "mkfs.ext4 …", None, "none"),
        )
        portable = request.portability == "portable"
        return PlannedCreation(steps, request.portability, OPENS_ON if portable else None)

    async def outputs(self, guid: str, offset: int = 0) -> tuple[Sequence[str], int]:
        if guid not in self.lines:
            raise NotFound(f"No outputs of pool {guid} are kept")
        return self.lines[guid][offset:], len(self.lines[guid])

    async def plan_mount(
        self, guid: str, mount_path: str | None, *, force: bool = False
    ) -> PlannedMount:
        pool = await self.get(guid)
        step = PlannedStep("Mount it", f"mount {mount_path or pool.mount_path}", None, "none")
        behind = MountMember("drive-scsi2", "stale", "3 events behind (4 of 7)")
        return PlannedMount(
            steps=(step,),
            members=(MountMember("drive-scsi1", "active", None), behind),
            may_be_lost="Some may be lost." if force else None,
        )

    async def mount(
        self,
        guid: str,
        mount_path: str | None,
        *,
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
            self.add(standing_pool(guid=guid)._replace(mount_path=path))

        return await self._start(OperationKind.MOUNT, guid, work, path)

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
                op.message = f"Absent drives still bear it: {', '.join(absent)}"
            self.add(pool._replace(state=then, pool_status=None, device=None, is_mounted=False))

        return await self._start(kind, guid, work)

    async def rename(
        self, guid: str, label: str | None, drive_labels: dict[str, str] | None
    ) -> None:
        pool = await self.get(guid)
        labels = drive_labels or {}
        drives = tuple(d._replace(label=labels.get(d.serial, d.label)) for d in pool.drives)
        self.add(pool._replace(label=label or pool.label, drives=drives))

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
        return await self._start(OperationKind.ADD, guid, self._quickly)

    async def processes(self, guid: str) -> tuple[FakeProcess, ...]:
        await self.get(guid)
        return (FakeProcess(),) if guid in self.busy else ()

    async def mount_processes(self, path: str) -> tuple[FakeProcess, ...]:
        return await self.processes(self.guid_of_mount(path))

    async def mount_usage(self, path: str) -> FakeUsage:
        self.guid_of_mount(path)
        return FakeUsage()

    def guid_of_mount(self, path: str) -> str:
        for pool in self.known.values():
            if pool.is_mounted and pool.mount_path == path:
                return pool.guid
        raise NotFound(f"No pool is mounted at {path}")

    async def kill(self, guid: str, pids: Sequence[int], action: str | None) -> Operation:
        await self.get(guid)
        self.killed.append((tuple(pids), action))
        self.busy.discard(guid)
        return await self._start(OperationKind.KILL, guid, self._quickly)

    async def importable(self) -> tuple[ImportablePool, ...]:
        return self.found

    async def import_pool(self, guid: str, label: str | None, mount_path: str | None) -> PoolView:
        if guid not in [pool.guid for pool in self.found]:
            raise NotFound(f"There is no importable pool {guid}")
        pool = standing_pool(PoolState.UNMOUNTED, guid)
        return self.add(pool._replace(label=label or "found", mount_path=mount_path))

    async def forget(self, guid: str) -> None:
        await self.get(guid)
        del self.known[guid]

    async def forget_all(self) -> int:
        count = len(self.known)
        self.known.clear()
        return count

    async def validate_metadata(self) -> int:
        return 2

    async def _start(
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


@dataclass(frozen=True)
class FakeBlock:
    name: str
    type: str = "disk"
    size: int = 268435456
    serial: str | None = None
    vendor: str | None = None
    model: str | None = None
    fstype: str | None = None
    uuid: str | None = None
    mountpoint: str | None = None
    id_link: str | None = None
    children: tuple[FakeBlock, ...] = ()

    @property
    def path(self) -> str:
        return f"/dev/{self.name}"


@dataclass(frozen=True)
class FakeDriveId:
    serial: str


@dataclass(frozen=True)
class FakeDrive:
    id: FakeDriveId
    id_link: str | None
    device: FakeBlock
    identified_by: str = "wwn"


@dataclass(frozen=True)
class FakeListing:
    drive: FakeDrive
    available: bool = True
    unavailable_because: str | None = None
    pool_guid: str | None = None
    protected: bool = False


@dataclass(frozen=True)
class FakeDriveStatus:
    status: str = "available"
    pool_guid: str | None = None
    device: str | None = None
    mount_point: str | None = None
    processes: tuple[FakeProcess, ...] = ()


def array_member() -> FakeListing:
    """A drive without a serial of its own, in a running, mounted array."""
    array = FakeBlock("md127", "raid1", 267386880, fstype="ext4", uuid="abc", mountpoint="/mnt/x")
    device = FakeBlock("sda", fstype="linux_raid_member", children=(array,))
    drive = FakeDrive(FakeDriveId("0x5000c500a1b2c3d4"), "wwn-0x5000c500a1b2c3d4", device)
    return FakeListing(drive, False, "It is a member of pool backup-1", GUID)


class FakeDrives:
    def __init__(self) -> None:
        self.listings: list[FakeListing] = [array_member()]
        self.protected: set[str] = set()
        self.refreshes = 0
        self.in_use = FakeDriveStatus("in_pool", GUID, "md127", "/mnt/x", (FakeProcess(),))

    async def list(self) -> Sequence[FakeListing]:
        return self.listings

    async def status(self, serial: str) -> FakeDriveStatus:
        self._require(serial)
        return FakeDriveStatus("protected") if serial in self.protected else self.in_use

    async def refresh(self) -> None:
        self.refreshes += 1

    async def protect(self, serial: str) -> None:
        self._require(serial)
        self.protected.add(serial)

    async def unprotect(self, serial: str) -> None:
        self._require(serial)
        self.protected.discard(serial)

    def _require(self, serial: str) -> None:
        if serial not in [listing.drive.id.serial for listing in self.listings]:
            raise NotFound(f"There is no drive {serial}")


@dataclass(frozen=True)
class FakeBackend:
    info: BackendInfo
    missing: tuple[Tool, ...] = ()
    origin: str = "backy-mdadm 1.0.0"

    def missing_tools(self) -> tuple[Tool, ...]:
        return self.missing


@dataclass(frozen=True)
class FakeFailure:
    name: str = "zfs"
    reason: str = "The module cannot be imported: No module named 'libzfs'"
    origin: str = "backy-zfs 1.0.0"


def _mdadm() -> FakeBackend:
    tool = Tool(name="mdadm", package="mdadm")
    info = BackendInfo(
        name="mdadm",
        version="1.0.0",
        levels=(
            Level(name="raid1", min_drives=1, max_drives=2),
            Level(name="raid5", min_drives=3),
        ),
        filesystems=("ext4", "xfs"),
        capabilities=frozenset({"add_drive", "import"}),
        tools=(tool,),
        signature_types=("linux_raid_member",),
    )
    return FakeBackend(info, (tool,))


@dataclass
class FakeHost:
    backends: dict[str, FakeBackend] = field(default_factory=lambda: {"mdadm": _mdadm()})
    failed: tuple[FakeFailure, ...] = (FakeFailure(),)


class FakeAgent:
    """Composes the fakes as the runtime composes the agent. Needs a running event loop."""

    def __init__(self) -> None:
        self.api_key = KEY
        self.agent_instance = "6d1f0a52-0000-4000-8000-000000000001"
        self.host = FakeHost()
        self.backend_problems = {"mdadm": "it did not answer within 30 s"}
        self.operations = OperationRegistry(Limits())
        self.pools = FakePools(self.operations)
        self.drives_service = FakeDrives()
