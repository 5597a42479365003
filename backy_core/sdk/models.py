"""Models that backends and the core exchange: drives, pools, reports.

All models are frozen and survive a JSON round trip. Sizes are bytes, times are RFC 3339 UTC,
percentages are floats from 0 to 100, estimates are minutes.
"""

from __future__ import annotations

import re
from typing import Literal, Protocol

from backy_core.sdk.stack import Layer, LayerReport
from backy_core.sdk.stack import Model as Model
from backy_core.sdk.stack import Presence as Presence

_PARTITION = re.compile(r"(?:.*\dp|(?!nvme|mmcblk|nbd|rbd|pmem|zram|loop|md|dm-)\D+)(\d+)")
"""A partition's kernel name: ``sda1``; ``nvme0n1p2`` where the disk's name ends in a digit."""

MemberState = Literal[
    "active", "rebuilding", "spare", "failed", "missing", "disconnected", "stale", "diverged"
]
"""A member's state. Backends report all but ``disconnected``, which the core uses for a
remembered drive that is not plugged in."""

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

Capability = Literal["add_drive", "degraded_open", "force_open", "import", "scoped_inspect"]

Delivers = Literal["block", "filesystem", "nothing"]

SectorRule = Literal["equal", "hidden", "raised"]
"""Which logical sector sizes a backend's pools can mix. ``equal``: all members have the same
size. ``hidden``: any size up to ``PoolReport.sector_size``, invisible to users of the pool.
``raised``: any size, but the pool's device takes on the largest; the core checks that the
filesystem can handle it."""


Portability = Literal["portable", "native"]
"""Where a new pool must open: on the oldest supported system (``portable``), or at least on this
machine with its tools' own defaults (``native``)."""


class DriveId(Model):
    """The identity of a whole drive, independent of kernel names."""

    serial: str
    wwn: str | None = None
    size: int

    def __str__(self) -> str:
        return self.serial


class SignatureMatch(Model):
    """A pattern for signatures; ``None`` matches anything.

    ``type``, ``uuid`` and ``label`` are libblkid's words (``linux_raid_member``, ``ext4`` …).
    """

    type: str
    uuid: str | None = None
    label: str | None = None


class Signature(Model):
    """One on-disk signature, read by the low-level probe and never from udev's cache."""

    device: str
    """Kernel name of the node it is on: ``sda``, ``sda1``, ``md127``."""
    type: str
    uuid: str | None = None
    label: str | None = None
    member: str | None = None
    """The member's own id within a pool, if the format has one (a ZFS vdev's guid)."""
    offset: int = 0
    block_size: int | None = None
    """A filesystem's smallest unit of I/O. A device with larger sectors breaks it."""

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
    """A redundancy level by its common name, with the drives that it takes and can lose."""

    name: str
    min_drives: int
    max_drives: int | None = None
    """None: any number."""
    aliases: tuple[str, ...] = ()
    parity: int = 0
    """How many drives' worth of each stripe is parity."""
    copies: int | None = 1
    """How many members hold each block; None: all of them, as in a mirror."""
    exchanges: bool = False
    """Without redundancy: the backend can copy a connected member to the drive that replaces it."""

    @property
    def redundant(self) -> bool:
        return self.parity > 0 or self.copies != 1

    def data_drives(self, count: int) -> int:
        """The capacity of ``count`` members of one size, in members."""
        return 1 if self.copies is None else (count - self.parity) // self.copies

    def survives(self, slots: int, working: frozenset[int], *, near: int | None = None) -> bool:
        """Whether the slots in ``working`` hold all data of a pool with ``slots`` members.

        Copies lie on neighbouring slots, the next stripe's right after them; given ``near``, the
        next stripe begins only that many slots further."""
        if self.copies is None:
            return bool(working)
        if self.copies > 1:
            # With a number of members that is no multiple the groups go round more than once.
            starts = {at * (near or self.copies) % slots for at in range(slots)}
            groups = ({(at + copy) % slots for copy in range(self.copies)} for at in starts)
            return all(group & working for group in groups)
        return len(working) >= slots - self.parity


class Tool(Model):
    """A program that a backend needs, and the Debian package that provides it."""

    name: str
    package: str
    oldest: str | None = None
    """The oldest version of the package that opens a ``portable`` pool; None: unstated."""
    version: tuple[str, ...] = ()
    """Arguments with which it prints its version and does nothing else; none: it cannot tell."""


class Requirement(Model):
    """A feature on a pool's drives that not every supported system can open."""

    feature: str
    """Its name for administrators: ``md logical block size``."""
    kernel: str | None = None
    """The first Linux that opens it (``6.19``). Unknown if ``tool_version`` is missing too."""
    tool: str | None = None
    """The package that has to be ``tool_version`` or newer, or to know it."""
    tool_version: str | None = None
    supported: bool | None = None
    """Whether this machine has it, where the backend can tell; None: the kernel's version does."""


class BackendInfo(Model):
    """A backend's description of itself, read once at load."""

    name: str
    version: str
    levels: tuple[Level, ...]
    """First one is the default."""
    other_levels: tuple[Level, ...] = ()
    """Levels of pools made elsewhere, which it handles but does not create."""
    filesystems: tuple[str, ...]
    """First one is the default."""
    delivers: Delivers = "block"
    capabilities: frozenset[Capability] = frozenset()
    tools: tuple[Tool, ...]
    """The only programs its plans may run."""
    read_commands: tuple[tuple[str, ...], ...] = ()
    """Prefixes of the read-only commands its inspect may run."""
    signature_types: tuple[str, ...]
    """Signatures it owns. While its inspect fails, drives with one of them are unavailable."""
    refresh_s: float | None = None
    """Interval of polls for changes without kernel events; None: events suffice."""
    sectors: SectorRule = "equal"
    """Which logical sector sizes its pools can mix."""

    def level(self, name: str) -> Level | None:
        """The level that a report calls ``name``; None if it is not described."""
        levels = (*self.levels, *self.other_levels)
        return next((level for level in levels if level.name == name), None)


class PoolSpec(Model):
    """A pool as the core requests it. All random values were chosen before planning."""

    guid: str
    native_id: str | None = None
    """The backend's own identity where it differs from the GUID (adopted pools)."""
    label: str
    level: str
    filesystem: str | None
    fs_uuid: str | None
    """Both are None while unknown: for an adopted pool that was never opened."""
    mount_path: str | None
    drives: tuple[DriveId, ...]
    """Members as remembered (metadata) or requested (create)."""
    portability: Portability = "native"
    """Portability requested for a new pool; meaningless for an existing one."""
    layers: tuple[Layer, ...] = ()
    """The layers over its device, from the bottom. Empty for most pools."""

    @property
    def identity(self) -> str:
        """The value to match with ``PoolReport.native_id``."""
        return self.native_id or self.guid


class MemberReport(Model):
    """One member as just inspected."""

    device: str | None
    """Kernel name of the member's node (``sda``, ``sda1``); None if it is absent."""
    drive: DriveId | None = None
    """Filled in by the core; backends leave it None."""
    handle: str | None = None
    """The backend's own lasting name for the member (a vdev's guid). Its plans use it to name a
    member that is gone. Two connected members with the same handle are copies of each other."""
    slot: int | None = None
    state: MemberState
    content_shows: bool = False
    """The pool's data start at the start of the member, so the pool's content is also visible on
    the bare member (an md superblock at the end)."""
    doubt: str | None = None
    """Why ``state`` is uncertain, in one sentence: there is no member in use to compare it with.
    The core then neither re-adds the drive nor wipes it."""
    behind: str | None = None
    """How far its content is behind the newest member's, in a few words for administrators
    ("3 events behind, last written 2026-11-29T18:20:00Z"); None: not behind, or unknown."""

    @property
    def in_place(self) -> bool:
        """Whether the pool counts on the member: in use, being filled, or standing by."""
        return self.in_use or self.state == "spare"

    @property
    def in_use(self) -> bool:
        """Whether it holds data of the pool, or is being filled with it."""
        return self.state in ("active", "rebuilding")

    @property
    def part(self) -> int | None:
        """Number of the partition the member is on; None for a whole drive, or if it is gone."""
        partition = _PARTITION.fullmatch(self.device or "")
        return int(partition[1]) if partition else None


class PoolReport(Model):
    """One pool of one backend, as a read-only inspection found it."""

    native_id: str
    """Array UUID, VG UUID or zpool guid; in dashed lower-case form if it is a GUID."""
    guid: str | None
    """The Backy GUID stamped on it; None for pools made elsewhere."""
    name: str | None = None
    """Its human-readable name, for importable pools."""
    level: str
    presence: Presence
    health: Health
    degraded: bool = False
    device: str | None = None
    """Kernel name of its block device (``md127``); None if stopped or there is none."""
    source: str | None = None
    """The source of its filesystem in mountinfo (a dataset's name), for a backend that delivers
    the filesystem; None if stopped, or if the core mounts ``device``."""
    expected_members: int
    members: tuple[MemberReport, ...]
    sync_percent: float | None = None
    sync_minutes: float | None = None
    detail: str | None = None
    """One sentence that explains the health, if it needs explaining."""
    others: tuple[str, ...] = ()
    """Other content of the container, by the names administrators use: a second logical volume,
    a snapshot, a dataset. Deleting the pool needs consent that names each."""
    enough: bool = True
    """False: the members that can be used do not hold all data, so the pool is not opened."""
    needs_force: str | None = None
    """Why an ordinary open fails although the members are present, in one sentence. None: it
    works, or force would not help either. Only with the capability ``force_open``."""
    usable: bool = True
    """False for a container that the backend cannot handle (firmware RAID): never a pool."""
    member_size: int | None = None
    """The least size in bytes of a whole drive to become a member, overhead included. A smaller
    one is refused before any change. None: the backend's tool decides."""
    sector_size: int | None = None
    """The logical sector size for ``BackendInfo.sectors``: its members' (``equal``), the largest
    it can hide (``hidden``), or its device's now (``raised``). None: not checked."""
    requires: tuple[Requirement, ...] | None = None
    """Features in use on its drives that the oldest supported system lacks; None: unknown. The
    core inspects the filesystem on a pool's block device itself."""
    release: str | None = None
    """The command that releases an unusable container, shown when it holds a requested drive."""
    layers: tuple[LayerReport, ...] = ()
    """Filled in by the core for a pool with layers: device 0 as the backend reports it, then each
    layer. ``presence`` and ``device`` are then those of the whole. Backends leave it empty."""

    @property
    def assembled(self) -> bool:
        """Whether the kernel holds the pool's drives, whether or not the pool runs."""
        return self.presence in ("inactive", "active")

    @property
    def drives(self) -> tuple[DriveId, ...]:
        """The connected drives, in the order of their members. Empty until the core has filled
        them in."""
        return tuple(member.drive for member in self.members if member.drive is not None)

    @property
    def container(self) -> PoolReport:
        """The pool as its backend reported it, without its layers."""
        own = self.layers[0].model_dump(include={"presence", "device"}) if self.layers else {}
        return self.model_copy(update={**own, "layers": ()}) if own else self

    def member(self, drive: DriveId) -> MemberReport | None:
        """The first member on ``drive``; None if there is none."""
        return next((member for member in self.members if member.drive == drive), None)


class Unreadable(Model):
    """A device with the backend's signature whose content its tools cannot read.

    Reported beside the pools. A pool that is missing from the reports and has a member on that
    drive does not count as gone: its last report is kept, and no operation changes it.
    """

    device: str
    """Kernel name of the node: ``sda``, ``sda1``."""
    reason: str
    """The tool's message, in one sentence."""


class CommandOutcome(Protocol):
    """The outcome of a read-only command. ``code`` is None if it did not exit by itself."""

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
    """Its names below ``/dev/disk/by-id``, which tools may use for it."""


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
        """Texts of files below /proc, /sys or /run; None for an absent one or one without a value.

        Raises if a file exists and cannot be read (no descriptors, no permission). Do not catch
        that: the inspection then fails and the last snapshot stays. Raises TimeoutError if a file
        of /proc does not answer within 3 s, as one that waits for a drive; do without it.
        """
        ...

    async def listdir(self, path: str) -> tuple[str, ...]:
        """Sorted names in a directory below /proc, /sys or /run; empty if absent. Raises like
        :meth:`read`."""
        ...

    async def superblock(self, signature: Signature, length: int) -> bytes | None:
        """Up to ``length`` bytes (at most 4096) from the position of this signature, which must
        have one of the backend's own types; None if they cannot be read within 3 s. Do not trust
        them. They are remembered until a program may have written to the device or another one is
        built on it or taken down: ask for what the kernel leaves alone while the pool runs."""
        ...

    async def run(self, *argv: str) -> CommandOutcome:
        """Run a command that starts with one of the backend's ``read_commands``."""
        ...
