"""The machine: drives, arrays, mounts and processes, and what people do to them."""

from __future__ import annotations

import itertools
import uuid
from dataclasses import replace

from backy_core.sdk.models import Signature
from backy_core.system.mountinfo import MountEntry
from backy_core.system.raw_writers import RawWriter
from tests.fakes.interruptions import Interruptions
from tests.fakes.model import (
    GIB,
    Array,
    Content,
    Disk,
    Mapping,
    Member,
    Mounted,
    Process,
    Superblock,
    Volume,
)

PROGRAMS = (
    *("mdadm", "mkfs.ext4", "mkfs.xfs", "mkfs.btrfs", "mount", "umount", "wipefs"),
    "dmsetup",
)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class FakeMachine:
    """Named by kernel names inside, as the kernel is; tests speak of serials and GUIDs."""

    def __init__(self) -> None:
        self.disks: dict[str, Disk] = {}
        """Connected drives by serial."""
        self.shelf: dict[str, Disk] = {}
        """Unplugged ones."""
        self.arrays: dict[str, Array] = {}
        self.mappings: dict[str, Mapping] = {}
        self.version = "99.1"
        """What every program says of itself."""
        self.mounts: list[Mounted] = []
        self.namespaces: dict[str, tuple[MountEntry, ...]] = {}
        """Mounts of other mount namespaces."""
        self.sealed: set[str] = set()
        """Directories with the immutable flag."""
        self.processes: dict[int, Process] = {}
        self.programs = set(PROGRAMS)
        self.boot = str(uuid.uuid4())
        self.linux = "6.12.117"
        """The release that runs."""
        self.shines_through: list[Content] = []
        """Stale content that shows on every new array."""
        self.superblocks_at_end = False
        """Of every array: then what it holds shows on its bare members as well."""
        self.unreadable: set[str] = set()
        """Kernel names of devices that give read errors."""
        self.block_size: str | None = None
        """What the kernel records in arrays as that; None: it is older than 6.19."""
        self.raw: dict[str, bytes] = {}
        """What a read of the superblock of a device gives, by its kernel name."""
        self.writers: list[RawWriter] = []
        """Processes that have a drive's node open for writing."""
        self.out_of_descriptors = False
        """Nothing can be opened, so no look at the machine succeeds."""
        self.commands: list[str] = []
        self.refused: list[str] = []
        """Commands this machine does not know: a test with one fails."""
        self.kernel: list[str] = []
        """What the kernel's log says."""
        self.interruptions = Interruptions()
        self._names = itertools.count()

    # drives

    def add(self, serial: str, *content: Content, size: int = 8 * GIB) -> Disk:
        disk = Disk(serial, size, content=list(content))
        self.disks[serial] = disk
        disk.name = self._next_name()
        return disk

    def _next_name(self) -> str:
        return "sdx" + _LETTERS[next(self._names) % 26]

    def unplug(self, serial: str) -> None:
        """Pull a drive; an array that holds it goes on without it if it can."""
        disk = self.disks.pop(serial)
        self.shelf[serial] = disk
        for array in self.arrays.values():
            gone = [member for member in array.members if member.disk is disk]
            for member in gone:
                array.members.remove(member)
                self._write_superblocks(array, lost=member.slot)

    def plug(self, serial: str) -> None:
        """The drive returns under a new name, as a new disk to the kernel."""
        disk = self.shelf.pop(serial)
        self.disks[serial] = disk
        self._renew(disk)

    def _renew(self, disk: Disk) -> None:
        disk.name = self._next_name()
        disk.number += 1000

    def swap(self, serial: str, other: Disk) -> None:
        """Another drive comes under the same kernel name."""
        gone = self.disks.pop(serial)
        self.shelf[serial] = gone
        other.name = gone.name
        self.disks[other.serial] = other

    def copy(self, serial: str, onto: str) -> None:
        """As dd does: superblock and content, to a drive of its own serial."""
        source, copy = self.disks[serial], self.disks[onto]
        copy.superblock, copy.content = source.superblock, list(source.content)

    def renumber(self) -> None:
        """Every drive and array gets another kernel name."""
        for disk in self.disks.values():
            self._renew(disk)
        renamed = {name: f"md{int(name[2:]) - 100}" for name in self.arrays}
        for old, new in renamed.items():
            array = self.arrays.pop(old)
            array.name = new
            self.arrays[new] = array
        for mapping in self.mappings.values():
            mapping.below = renamed.get(mapping.below, mapping.below)
        self.mounts = [replace(m, device=renamed.get(m.device, m.device)) for m in self.mounts]

    def reboot(self, *, assembled: bool = False) -> None:
        """Power off and on. ``assembled``: udev starts complete arrays, as Debian's does."""
        self.boot = str(uuid.uuid4())
        self.mounts.clear()
        self.processes.clear()
        self.arrays.clear()
        self.mappings.clear()
        for disk in self.disks.values():
            self._renew(disk)
        if assembled:
            self.assemble_all()

    def assemble_all(self) -> None:
        """Assemble stamped drives that are free and complete, as udev's rules do."""
        stamped: dict[str, list[Disk]] = {}
        for disk in self.disks.values():
            if disk.superblock and not self.holders(disk.name):
                stamped.setdefault(disk.superblock.uuid, []).append(disk)
        for disks in stamped.values():
            self.start_array(self.free_array_name(), disks, degraded=False)

    # looking

    def disk_at(self, name: str) -> Disk | None:
        """The drive with this kernel name, or the one this is a partition of."""
        return next(
            (d for d in self.disks.values() if name == d.name or name in d.partitions), None
        )

    def array_of(self, guid: str) -> Array | None:
        return next((array for array in self.arrays.values() if array.uuid == guid), None)

    def holders(self, name: str) -> tuple[str, ...]:
        disk = self.disk_at(name)
        mappings = [each.name for each in self.mappings.values() if each.below == name]
        arrays = self.arrays.values()
        return (*mappings, *(a.name for a in arrays for m in a.members if m.disk is disk))

    def mounted(self, path: str) -> Mounted | None:
        return next((mount for mount in reversed(self.mounts) if mount.path == path), None)

    def in_use(self, name: str) -> bool:
        """Whether an exclusive open answers EBUSY."""
        names = {
            name,
            *(part for d in self.disks.values() if d.name == name for part in d.partitions),
        }
        return bool(self.holders(name)) or any(mount.device in names for mount in self.mounts)

    def exists(self, name: str) -> bool:
        return name in self.mappings or name in self.arrays or self.disk_at(name) is not None

    def volume_of(self, name: str) -> Volume | None:
        """What an array or a mapping holds; None: it is not there."""
        holder = self.mappings.get(name) or self.arrays.get(name)
        return holder.volume if holder else None

    def content_of(self, name: str) -> list[Content]:
        volume = self.volume_of(name)
        assert volume is not None, name
        return volume.content

    def signatures(self, name: str) -> tuple[Signature, ...]:
        """Signatures that a probe of this node finds."""
        disk = self.disk_at(name)
        if disk is not None and disk.superblock and self.superblocks_at_end and name == disk.name:
            stamp = disk.superblock.stamp.on(name, disk.size - 65536)
            return (stamp, *(each.on(name, 1080) for each in disk.superblock.volume.content))
        if disk is not None:
            return tuple(disk.signatures(name))
        return tuple(each.on(name, 1080) for each in self.content_of(name))

    # arrays

    def free_array_name(self) -> str:
        return next(f"md{n}" for n in range(1127, 0, -1) if f"md{n}" not in self.arrays)

    def start_array(self, name: str, disks: list[Disk], *, degraded: bool) -> bool:
        """Assemble these members; inactive (False) if some that were active last are missing."""
        newest = max((d.superblock for d in disks if d.superblock), key=lambda each: each.events)
        members = [
            Member(
                disk,
                disk.superblock.role,
                "in_sync" if disk.superblock.role is not None else "spare",
            )
            for disk in disks
            if disk.superblock and disk.superblock.events + 1 >= newest.events
        ]
        wanted = {slot for slot, letter in enumerate(newest.view) if letter in "AR"}
        present = {member.slot for member in members}
        running = wanted <= present or (degraded and bool(wanted & present))
        array = Array(
            name, newest.uuid, newest.level, newest.slots, newest.volume, members, running
        )
        self.arrays[name] = array
        if running:
            for slot in wanted - present:
                self._write_superblocks(array, lost=slot)
        return running

    def _write_superblocks(self, array: Array, *, lost: int | None) -> None:
        if lost is None:
            return
        for member in array.members:
            if member.disk.superblock:
                member.disk.superblock = member.disk.superblock.after(lost=lost)

    def join(self, array: Array, disk: Disk, *, rebuilt: bool = False) -> None:
        """The drive takes the first missing slot and rebuilds, or becomes a spare."""
        slot = array.missing[0] if array.missing and not array.frozen else None
        letters = list(next(m.disk.superblock.view for m in array.members if m.disk.superblock))
        if slot is not None:
            letters[slot] = "A"
        view = "".join(letters)
        known = next(m.disk.superblock for m in array.members if m.disk.superblock)
        disk.superblock = replace(known, role=slot, view=view, member=str(uuid.uuid4()))
        for member in array.members:
            if member.disk.superblock:
                member.disk.superblock = replace(member.disk.superblock, view=view)
        state = "spare" if slot is None or not rebuilt else "in_sync"
        if array.frozen:
            self.kernel += ["sdy: another drive", f"md: {disk.name}: cannot be used"]
        array.members.append(Member(disk, slot, state))

    def make_pool(self, guid: str, name: str, *serials: str, fs: Content | None = None) -> Volume:
        """Superblocks of a stopped raid1 pool on these drives, as if made earlier."""
        volume = Volume([fs] if fs else [])
        for role, serial in enumerate(serials):
            self.disks[serial].superblock = Superblock(
                guid, name, "raid1", len(serials), role, volume, view="A" * len(serials)
            )
        return volume

    # processes

    def hold(self, path: str, pid: int = 4711, name: str = "rsync") -> Process:
        process = Process(pid, path, name)
        self.processes[pid] = process
        return process

    def clean(self, *serials: str) -> bool:
        """Whether these drives are blank and unused."""
        disks = [self.disks[serial] for serial in serials]
        return all(disk.blank and not self.in_use(disk.name) for disk in disks)
