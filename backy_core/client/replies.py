"""The bodies of replies, as they are on the wire. A test holds them to what the agent answers."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class Status(TypedDict):
    status: str
    version: str
    timestamp: str


class Message(TypedDict):
    success: bool
    message: str


class Process(TypedDict):
    pid: int
    command: str
    user: str
    path: str
    name: str


class Processes(TypedDict):
    processes: list[Process]


class MountedPool(Processes):
    poolGroupGuid: str
    label: str
    mountPath: str
    source: str
    filesystem: str
    readOnly: bool


Block = TypedDict(
    "Block",
    {
        "name": str,
        "size": int,
        "type": str,
        "mountpoint": str | None,
        "uuid": str | None,
        "serial": str | None,
        "vendor": str | None,
        "model": str | None,
        "fstype": str | None,
        "path": str,
        "id-link": str | None,
        "children": "list[Block]",
    },
)


class _OfADrive(TypedDict):
    identifiedBy: str
    available: bool
    unavailableBecause: str | None
    unavailableCode: str | None
    sectorSize: int
    poolGroupGuid: str | None
    protected: bool


class Drive(Block, _OfADrive):
    """A whole drive; its ``serial`` is never None."""


class DriveList(TypedDict):
    blockdevices: list[Drive]


class DriveStatus(TypedDict):
    status: str
    state: str
    inPool: bool
    poolGroupGuid: str | None
    poolId: str | None
    mdDeviceName: str | None
    mountPoint: str | None
    processes: list[Process]


class AdvisedRequest(TypedDict):
    verb: str
    subject: str
    method: str
    path: str


class Finding(TypedDict):
    check: str
    severity: str
    subject: str
    message: str
    evidence: list[str]
    remedy: str | None
    request: AdvisedRequest | None
    repairable: bool


class Examination(TypedDict):
    findings: list[Finding]


class TargetAnswer(TypedDict):
    target: str
    delivered: bool
    reason: str | None


class NotificationTest(TypedDict):
    success: bool
    targets: list[TargetAnswer]


class Key(TypedDict):
    name: str
    scope: str
    createdAt: str | None
    rotatedAt: str | None
    lastUsedAt: str | None


class Keys(TypedDict):
    keys: list[Key]


class Secret(TypedDict):
    """``secret`` is shown this once."""

    success: bool
    key: Key
    secret: str


class Protection(TypedDict):
    success: bool
    serial: str
    protected: bool


class Member(TypedDict):
    serial: str
    label: str | None
    status: str
    state: str


class ListedMember(Member):
    isConnected: bool


class OpensOn(TypedDict):
    kernel: str | None
    tools: dict[str, str]
    because: list[str]
    checked: list[str]


class _Standing(TypedDict):
    """Fields that only a pool has which exists."""

    size: NotRequired[int]
    used: NotRequired[int]
    available: NotRequired[int]
    usePercent: NotRequired[str]
    backend: NotRequired[str | None]
    level: NotRequired[str | None]
    filesystem: NotRequired[str | None]
    createdAt: NotRequired[str | None]
    portability: NotRequired[str | None]
    opensOn: NotRequired[OpensOn | None]
    resyncPercentage: NotRequired[float]
    resyncTimeEstimate: NotRequired[float]
    staleBecause: NotRequired[str]
    errorMessage: NotRequired[str]


class PoolDetail(_Standing):
    """The fields depend on ``state``."""

    state: str
    poolStatus: NotRequired[str | None]
    drives: NotRequired[list[Member]]
    mountPath: NotRequired[str | None]
    poolGroupGuid: NotRequired[str]
    label: NotRequired[str]
    poolId: NotRequired[str | None]
    mdDeviceName: NotRequired[str | None]


class ListedPool(_Standing):
    """Further fields depend on ``state``."""

    poolGroupGuid: str
    label: str
    state: str
    poolStatus: str | None
    status: str | None
    poolId: str | None
    mdDeviceName: str | None
    isMounted: bool
    mountPath: str | None
    driveCount: int
    drives: list[ListedMember]


class Created(TypedDict):
    success: bool
    poolGroupGuid: str
    state: str


class PlannedStep(TypedDict):
    title: str
    command: str
    undo: str | None
    effect: str


class MountMember(TypedDict):
    serial: str
    state: str
    behind: str | None


class Plan(TypedDict):
    steps: list[PlannedStep]


class CreationPlan(Plan):
    portability: str
    opensOn: OpensOn | None


class CreationDryRun(TypedDict):
    success: bool
    plan: CreationPlan


class DryRun(TypedDict):
    success: bool
    plan: Plan


class MountDryRun(DryRun):
    members: list[MountMember]
    mayBeLost: NotRequired[str]


class Outputs(TypedDict):
    success: bool
    outputs: list[str]
    nextOffset: NotRequired[int]


class Mounted(TypedDict):
    success: bool
    state: str
    mountPath: str | None
    commandOutputs: list[str]


class Unmounted(TypedDict):
    success: bool
    busy: bool
    state: str
    commandOutputs: list[str]


class Deleted(Unmounted):
    message: NotRequired[str]


class Commands(TypedDict):
    success: bool
    commandOutputs: list[str]
    message: NotRequired[str]


class Renamed(TypedDict):
    success: bool
    poolGroupGuid: str
    label: str
    driveLabels: dict[str, str]


class Importable(TypedDict):
    poolGroupGuid: str
    backend: str
    nativeId: str
    label: str | None
    level: str | None
    filesystem: str | None
    drives: list[str]
    opensOn: OpensOn | None
    cannotOpenBecause: str | None


class Imported(TypedDict):
    success: bool
    poolGroupGuid: str
    label: str
    state: str
    mountPath: str | None


class Progress(TypedDict):
    step: int
    steps: int
    title: str
    percent: int


class Operation(TypedDict):
    id: str
    kind: str
    poolGroupGuid: str
    state: str
    progress: Progress
    startedAt: str
    finishedAt: str | None
    errorMessage: str | None
    agentInstance: str


class Accepted(TypedDict):
    success: bool
    operation: Operation


class Level(TypedDict):
    name: str
    minDrives: int
    maxDrives: int | None
    parity: int
    copies: int | None


class Tool(TypedDict):
    name: str
    package: str


class ToolState(Tool):
    installed: bool


class Backend(TypedDict):
    name: str
    default: bool
    version: str
    levels: list[Level]
    filesystems: list[str]
    capabilities: list[str]
    toolsInstalled: bool
    missingTools: list[Tool]
    tools: list[ToolState]
    origin: str
    problem: str | None


class FailedPlugin(TypedDict):
    name: str
    reason: str
    origin: str


class Backends(TypedDict):
    backends: list[Backend]
    failedPlugins: list[FailedPlugin]
