"""What backends and the core tell each other: drives, pools, reports.

All models are frozen and survive a JSON round trip. Sizes are bytes, times are RFC 3339 UTC,
percentages are floats from 0 to 100, estimates are minutes.
"""

from __future__ import annotations

from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

MemberState = Literal[
    "active", "rebuilding", "spare", "failed", "missing", "disconnected", "stale", "diverged"
]
"""A member's standing. Backends report all but ``disconnected``, which is the core's word for
a remembered drive that is not plugged in."""

Presence = Literal["absent", "stopped", "inactive", "active"]
"""How much of a pool the kernel has: nothing found; stamps on drives only; assembled without
running (it holds its drives); running."""

Health = Literal[
    "active",
    "resync",
    "recovering",
    "check",
    "reshape",
    "degraded",
    "inactive",
    "failed",
]
"""The contract's ``poolStatus`` vocabulary."""

Capability = Literal["add_drive", "degraded_open", "force_open", "import"]

Delivers = Literal["block", "filesystem", "nothing"]

SectorRule = Literal["equal", "hidden", "raised"]
"""What logical sector sizes a backend's pools can mix. ``equal``: all members have the same one.
``hidden``: any up to ``PoolReport.sector_size``, which those who use the pool never see.
``raised``: any, but the pool's device takes on the largest, which its filesystem must bear; the
core checks that."""


Portability = Literal["portable", "native"]
"""What a new pool must be opened by: the oldest supported system, or this machine alone, with all
its tools make by default."""


class Model(BaseModel):
    """Frozen, closed to unknown fields. Built at first use: that is a sixth of a start's time."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class DriveId(Model):
    """A whole drive by what stays true when kernel names change."""

    serial: str
    wwn: str | None = None
    size: int

    def __str__(self) -> str:
        return self.serial


class SignatureMatch(Model):
    """What a signature must look like; ``None`` matches anything.

    ``type``, ``uuid`` and ``label`` are libblkid's words (``linux_raid_member``, ``ext4`` …).
    """

    type: str
    uuid: str | None = None
    label: str | None = None


class Signature(Model):
    """One on-disk signature as the low-level probe sees it now (never a cache of udev's)."""

    device: str
    """Kernel name of the node that bears it: ``sda``, ``sda1``, ``md127``."""
    type: str
    uuid: str | None = None
    label: str | None = None
    member: str | None = None
    """Which member of something larger this is, where the format says (a ZFS vdev's guid)."""
    offset: int = 0
    block_size: int | None = None
    """Of a filesystem, the least it reads or writes; a device with larger sectors breaks it."""

    def matches(self, match: SignatureMatch) -> bool:
        return (
            self.type == match.type
            and match.uuid in (None, self.uuid)
            and match.label in (None, self.label)
        )

    def as_match(self) -> SignatureMatch:
        return SignatureMatch(type=self.type, uuid=self.uuid, label=self.label)

    def __str__(self) -> str:
        named = self.label or self.uuid
        return f"{self.type} ({named})" if named else self.type


class Level(Model):
    """A redundancy level under the field's own name, with the numbers of drives it takes."""

    name: str
    min_drives: int
    max_drives: int | None = None
    """None: any number."""
    aliases: tuple[str, ...] = ()


class Tool(Model):
    """A program a backend needs, and the Debian package that brings it."""

    name: str
    package: str
    oldest: str | None = None
    """The oldest version of the package that opens a ``portable`` pool; None: nothing is said."""


class Requirement(Model):
    """A feature on a pool's drives that not every supported system can open."""

    feature: str
    """As a person knows it: ``md logical block size``."""
    kernel: str | None = None
    """The first Linux that opens it (``6.19``). Without it and ``tool``: nobody knows."""
    tool: str | None = None
    """The package that has to be ``tool_version`` or newer."""
    tool_version: str | None = None


class BackendInfo(Model):
    """What a backend says of itself, once, at load."""

    name: str
    version: str
    levels: tuple[Level, ...]
    """First one is the default."""
    filesystems: tuple[str, ...]
    """First one is the default."""
    delivers: Delivers = "block"
    capabilities: frozenset[Capability] = frozenset()
    tools: tuple[Tool, ...]
    """The only programs its plans may run."""
    read_commands: tuple[tuple[str, ...], ...] = ()
    """Prefixes of the read-only commands its inspect may run."""
    signature_types: tuple[str, ...]
    """Signatures it owns: while its inspect fails, drives that bear one are unavailable."""
    refresh_s: float | None = None
    """Re-inspect this often, for what gives no kernel events; None: events suffice."""
    sectors: SectorRule = "equal"
    """What logical sector sizes its pools can mix."""


class PoolSpec(Model):
    """A pool as the core asks for it. Everything random was chosen before planning."""

    guid: str
    native_id: str | None = None
    """The backend's own identity where it differs from the GUID (adopted pools)."""
    label: str
    level: str
    filesystem: str | None
    fs_uuid: str | None
    """Both None while unknown: an adopted pool that was not opened yet."""
    mount_path: str | None
    drives: tuple[DriveId, ...]
    """Members as remembered (metadata) or requested (create)."""
    portability: Portability = "native"
    """What a new pool is asked to be; means nothing for one that exists."""

    @property
    def identity(self) -> str:
        """What to match ``PoolReport.native_id`` against."""
        return self.native_id or self.guid


class MemberReport(Model):
    """One member as seen now."""

    device: str | None
    """Kernel name of the member's node (``sda``, ``sda1``); None if it is not there."""
    drive: DriveId | None = None
    """Filled in by the core; backends leave it None."""
    handle: str | None = None
    """The backend's own lasting name for the member (a vdev's guid), by which its plans name one
    that is gone. Two connected members with one handle are copies of each other."""
    slot: int | None = None
    state: MemberState
    content_shows: bool = False
    """The pool's data begin where the member does, so that what the pool holds is seen on the bare
    member as well (an md superblock at the end)."""
    doubt: str | None = None
    """Why ``state`` is a guess, in one sentence: it cannot be compared with a member in use. The
    core then neither takes the drive back nor wipes it."""
    behind: str | None = None
    """How far its content is behind that of the newest member, in a few words for people
    ("3 events behind, last written 2026-11-29T18:20:00Z"); None: it is not, or nobody knows."""


class PoolReport(Model):
    """One pool of one backend as seen now, by a look that changed nothing."""

    native_id: str
    """Array UUID, VG UUID or zpool guid as dashed lower-case GUID text where it is one."""
    guid: str | None
    """The Backy GUID stamped on it; None for pools made elsewhere."""
    name: str | None = None
    """The name a person gave it, for importable pools."""
    level: str
    presence: Presence
    health: Health
    degraded: bool = False
    device: str | None = None
    """Kernel name of its block device (``md127``); None if stopped or there is none."""
    source: str | None = None
    """What mountinfo shows as the source of its filesystem, from a backend that brings its own
    (a dataset's name); None if stopped, or if the core mounts ``device``."""
    expected_members: int
    members: tuple[MemberReport, ...]
    sync_percent: float | None = None
    sync_minutes: float | None = None
    detail: str | None = None
    """One sentence for a person where the health needs explaining."""
    others: tuple[str, ...] = ()
    """What else lies in the container beside the pool's own volume, as a person knows it: a second
    logical volume, a snapshot, a dataset. Deleting the pool needs consent that names each."""
    needs_force: str | None = None
    """Why an ordinary open cannot bring it up though its members are there, in one sentence; None:
    it can, or force would not help either. Only with the capability ``force_open``."""
    usable: bool = True
    """False for what the backend sees but cannot handle (firmware RAID): never a pool."""
    member_size: int | None = None
    """Bytes a whole drive must have to become a member, the backend's own overhead included; a
    smaller one is refused before anything is changed. None: the backend's tool decides."""
    sector_size: int | None = None
    """Logical sector size that ``BackendInfo.sectors`` is about: of its members (``equal``), the
    largest it can hide, or its device's now (``raised``). None: not checked."""
    requires: tuple[Requirement, ...] | None = None
    """Features in use on its drives that the oldest supported system lacks; None: the backend
    cannot tell. The core looks itself at the filesystem on a pool's block device."""
    release: str | None = None
    """The command by which a person lets go of what is not usable, shown where it is in the way."""


class Unreadable(Model):
    """A device that bears the backend's signature, and whose content its tools cannot read.

    Reported beside the pools. A pool with a member on that drive that is not reported does not
    count as gone: its last report is kept, and nothing is done to it meanwhile.
    """

    device: str
    """Kernel name of the node: ``sda``, ``sda1``."""
    reason: str
    """What the tool says, in one sentence."""


class CommandOutcome(Protocol):
    """What a read-only command gave. ``code`` is None if it did not end by itself."""

    @property
    def code(self) -> int | None: ...
    @property
    def stdout(self) -> str: ...
    @property
    def stderr(self) -> str: ...


class ProbedDrive(Model):
    """A whole drive as the probe offers it to backends."""

    name: str
    node: str
    id: DriveId
    links: tuple[str, ...] = ()
    """Its names below ``/dev/disk/by-id``, which tools may know it by."""


class Probe(Protocol):
    """A backend's read-only view of the machine. Reads run off the event loop."""

    @property
    def drives(self) -> tuple[ProbedDrive, ...]: ...
    @property
    def signatures(self) -> tuple[Signature, ...]:
        """Every signature on every drive and partition, probed freshly or since the last
        kernel event for that device."""
        ...

    async def read(self, *paths: str) -> tuple[str | None, ...]:
        """Texts of files below /proc, /sys or /run; None for one that is not there or has no value.

        Raises for one that is there and cannot be read (no descriptors, no permission): let it
        pass, so that the inspect fails and what was seen last stays. TimeoutError for a file of
        /proc that does not answer within 3 s; one that waits for a drive can be done without.
        """
        ...

    async def listdir(self, path: str) -> tuple[str, ...]:
        """Sorted names in a directory below /proc, /sys or /run; empty if absent. Raises as
        :meth:`read` does."""
        ...

    async def superblock(self, signature: Signature, length: int) -> bytes | None:
        """Up to ``length`` bytes (at most 4096) from where this signature, one of the backend's
        own types, was found; None if they cannot be read. A stranger may have written them."""
        ...

    async def run(self, *argv: str) -> CommandOutcome:
        """Run a command that starts with one of the backend's ``read_commands``."""
        ...
