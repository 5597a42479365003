"""A model of a machine as storage tools see it: only what they read, without data.

Kernel names are chosen so that no host has them; the tests never open a node anyway.
"""

from __future__ import annotations

import itertools
import uuid
from dataclasses import dataclass, field, replace

from backy_core.sdk.models import Signature

GIB = 1 << 30
MD = "linux_raid_member"

_disk_numbers = itertools.count(100)


@dataclass(frozen=True)
class Content:
    """A signature without the place it is at."""

    type: str
    uuid: str | None = None
    label: str | None = None
    block: int | None = None

    def on(self, device: str, offset: int = 0) -> Signature:
        return Signature(
            device=device,
            type=self.type,
            uuid=self.uuid,
            label=self.label,
            offset=offset,
            block_size=self.block,
        )


@dataclass
class Volume:
    """The content of an array: shared by its members, kept while it is stopped."""

    content: list[Content] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    """Names in the filesystem, lost when it is made anew."""
    inner: dict[tuple[str, ...], Volume] = field(default_factory=dict)
    """What a mapping with these numbers shows of it."""


@dataclass(frozen=True)
class Superblock:
    """A member's own view of its array. ``view``: a letter per slot, as mdadm prints it."""

    uuid: str
    name: str
    level: str
    slots: int
    role: int | None
    volume: Volume = field(compare=False)
    events: int = 10
    view: str = ""
    bitmap: bool = True
    member: str = field(default_factory=lambda: str(uuid.uuid4()), compare=False)
    """The member's own UUID, which a copy of the drive has as well."""

    @property
    def stamp(self) -> Content:
        return Content(MD, self.uuid, f"any:{self.name}")

    def after(self, *, lost: int) -> Superblock:
        """The array went on without the member in slot ``lost``."""
        view = "".join("." if slot == lost else letter for slot, letter in enumerate(self.view))
        return replace(self, view=view, events=self.events + 10)


@dataclass
class Disk:
    """A drive. ``content`` is what lies on it beside a superblock; ``parts`` its partitions'."""

    serial: str
    size: int = 8 * GIB
    sector: int = 512
    wwn: str | None = None
    content: list[Content] = field(default_factory=list)
    parts: list[list[Content]] = field(default_factory=list)
    superblock: Superblock | None = None
    name: str = ""
    anonymous: bool = False
    """It reports no serial and no WWN, and udev makes no link."""
    number: int = field(default_factory=lambda: next(_disk_numbers))
    """The kernel's disk sequence number."""

    def signatures(self, name: str) -> tuple[Signature, ...]:
        """Signatures that a probe of ``name``, a drive or partition, finds."""
        if name != self.name:
            part = int(name.removeprefix(self.name))
            return tuple(each.on(name) for each in self.parts[part - 1])
        stamp = []
        if self.superblock:
            seen = self.superblock.stamp.on(name, 4096)
            stamp.append(seen.model_copy(update={"member": self.superblock.member}))
        return (*stamp, *(each.on(name, 1080) for each in self.content))

    @property
    def partitions(self) -> tuple[str, ...]:
        return tuple(f"{self.name}{number}" for number in range(1, len(self.parts) + 1))

    @property
    def blank(self) -> bool:
        return not (self.superblock or self.content or self.parts)

    def erase(self) -> None:
        self.superblock, self.content, self.parts = None, [], []


@dataclass
class Member:
    disk: Disk
    slot: int | None
    state: str = "in_sync"


@dataclass
class Array:
    """An array the kernel holds. ``running`` is False for an inactive one."""

    name: str
    uuid: str
    level: str
    slots: int
    volume: Volume
    members: list[Member]
    running: bool = True
    frozen: bool = False
    """md uses no spare it is given."""
    state: str = "clean"
    """As ``array_state`` tells it while it runs."""

    @property
    def missing(self) -> tuple[int, ...]:
        taken = {member.slot for member in self.members if member.state != "faulty"}
        return tuple(slot for slot in range(self.slots) if slot not in taken)


@dataclass
class Mapping:
    """A dm-linear device over another one."""

    name: str
    title: str
    uuid: str
    below: str
    volume: Volume


@dataclass(frozen=True)
class Mounted:
    device: str
    path: str
    fstype: str
    options: frozenset[str] = frozenset()


@dataclass
class Process:
    """A process that holds what is mounted at ``path``. A stubborn one outlives SIGTERM."""

    pid: int
    path: str
    name: str = "rsync"
