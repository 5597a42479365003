"""The programs this machine has. Each knows exactly the words the agent may use."""

from __future__ import annotations

import itertools
import re
import shlex
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.fakes.kernel_files import examine
from tests.fakes.machine import FakeMachine
from tests.fakes.model import (
    MD,
    Content,
    Disk,
    Mapping,
    Member,
    Mounted,
    Superblock,
    Volume,
)

Answer = tuple[int, str, str]
"""Exit status, stdout, stderr."""
OK: Answer = (0, "", "")


class UnknownCommand(AssertionError):
    """The agent ran something this machine has never heard of."""


@dataclass
class Programs:
    machine: FakeMachine

    def run(self, argv: Sequence[str], *, half: bool = False) -> Answer:
        """``half``: stop in the middle of it and fail."""
        shown = shlex.join(argv)
        for pattern, method in _KNOWN:
            found = re.fullmatch(pattern, shown)
            if found is not None:
                answer: Answer = method(self, half=half, **found.groupdict())
                return (1, "", "it broke off in the middle") if half else answer
        self.machine.refused.append(shown)
        raise UnknownCommand(shown)

    # looking

    def examine(self, nodes: str, *, half: bool) -> Answer:
        sections: list[str] = []
        for node in nodes.split():
            disk = self.machine.disk_at(Path(node).name)
            if disk is None or disk.superblock is None:
                return 1, "".join(sections), f"mdadm: No md superblock detected on {node}."
            sections.append(examine(node, disk.superblock))
        return 0, "".join(sections), ""

    def version(self, program: str, *, half: bool) -> Answer:
        return 0, f"{program} - v{self.machine.version} - 2021-12-30", ""

    # md

    def create(
        self, uuid: str, name: str, level: str, slots: str, nodes: str, *, half: bool
    ) -> Answer:
        machine = self.machine
        disks = [machine.disk_at(Path(node).name) for node in nodes.split()]
        assert all(disks) and len(disks) == int(slots)
        members = [disk for disk in disks if disk is not None]
        busy = next((disk for disk in members if machine.in_use(disk.name)), None)
        if busy is not None:
            return 1, "", f"mdadm: cannot open /dev/{busy.name}: Device or resource busy"
        volume = Volume(list(machine.shines_through))
        for role, disk in enumerate(members):
            disk.content = []
            disk.superblock = Superblock(
                _dashed(uuid), name, level, len(members), role, volume, view="A" * len(members)
            )
            if half:
                return OK
        machine.start_array(machine.free_array_name(), members, degraded=False)
        return 0, "", f"mdadm: array /dev/md/{name} started."

    def assemble(self, uuid: str, run: str | None, nodes: str, *, half: bool) -> Answer:
        machine = self.machine
        disks = [disk for node in nodes.split() if (disk := machine.disk_at(Path(node).name))]
        if len(disks) != len(nodes.split()):
            return 1, "", "mdadm: cannot open device: No such file or directory"
        if any(machine.in_use(disk.name) for disk in disks):
            return 1, "", "mdadm: device is busy - skipping"
        if any(d.superblock is None or d.superblock.uuid != _dashed(uuid) for d in disks):
            return 1, "", "mdadm: device has wrong uuid."
        name = machine.free_array_name()
        running = machine.start_array(name, disks, degraded=run is not None)
        if half:
            machine.arrays[name].running = False
        return OK if running else (1, "", "mdadm: not enough devices to start the array.")

    def assemble_by_force(self, uuid: str, nodes: str, *, half: bool) -> Answer:
        """The freshest member that is behind is taken for as fresh as the newest one."""
        machine = self.machine
        disks = [machine.disk_at(Path(node).name) for node in nodes.split()]
        members = [disk for disk in disks if disk is not None and disk.superblock is not None]
        blocks = sorted((disk.superblock for disk in members if disk.superblock), key=_events)
        newest, second = blocks[-1], blocks[-2]
        for disk in members:
            if disk.superblock in (newest, second):
                disk.superblock = replace(disk.superblock, events=newest.events)
        started = machine.start_array(machine.free_array_name(), members, degraded=True)
        return OK if started else (1, "", "mdadm: not enough devices to start the array.")

    def stop(self, device: str, *, half: bool) -> Answer:
        machine = self.machine
        if device not in machine.arrays:
            return 1, "", f"mdadm: error opening /dev/{device}: No such file or directory"
        if machine.in_use(device):
            return 1, "", f"mdadm: Cannot get exclusive access to /dev/{device}"
        del machine.arrays[device]
        return 0, "", f"mdadm: stopped /dev/{device}"

    def add(self, device: str, how: str, node: str, *, half: bool) -> Answer:
        machine, disk = self.machine, self.machine.disk_at(Path(node).name)
        array = machine.arrays.get(device)
        if array is None or disk is None or machine.in_use(disk.name):
            return 1, "", f"mdadm: cannot open {node}"
        old = disk.superblock
        if how == "--re-add" and (old is None or old.uuid != array.uuid or not old.bitmap):
            return 1, "", f"mdadm: --re-add for {node} to /dev/{device} is not possible"
        if how == "--add" and old is not None and old.uuid == array.uuid and not array.missing:
            return 1, "", f"mdadm: {node} reports being an active member, but it is not"
        disk.content = []
        machine.join(array, disk, rebuilt=how == "--re-add")
        return 0, "", f"mdadm: added {node}"

    def remove_failed(self, device: str, *, half: bool) -> Answer:
        array = self.machine.arrays[device]
        array.members = [member for member in array.members if member.state != "faulty"]
        return OK

    def remove(self, device: str, node: str, *, half: bool) -> Answer:
        array = self.machine.arrays[device]
        member = self._member(array.members, node)
        if member is None or (member.slot is not None and member.state != "faulty"):
            return 1, "", f"mdadm: hot remove failed for {node}: Device or resource busy"
        array.members.remove(member)
        return 0, "", f"mdadm: hot removed {node} from /dev/{device}"

    def replace(self, device: str, old: str, new: str, *, half: bool) -> Answer:
        array = self.machine.arrays[device]
        going = self._member(array.members, old)
        coming = self._member(array.members, new)
        if going is None or coming is None:
            return 1, "", "mdadm: Marked device is not a member"
        coming.slot, coming.state = going.slot, "in_sync"
        taken = going.disk.superblock
        coming.disk.superblock = taken and replace(taken, member=str(uuid.uuid4()))
        going.slot, going.state = None, "faulty"
        return OK

    def _member(self, members: list[Member], node: str) -> Member | None:
        return next((m for m in members if m.disk.name == Path(node).name), None)

    # device mapper

    def map(
        self, title: str, uuid: str, sectors: str, device: str, offset: str, *, half: bool
    ) -> Answer:
        machine, volume = self.machine, self.machine.volume_of(device)
        titles = {mapping.title for mapping in machine.mappings.values()}
        if volume is None or title in titles or machine.in_use(device):
            return 1, "", "device-mapper: reload ioctl failed: Device or resource busy"
        if half:
            return OK
        number = next(n for n in itertools.count(100) if f"dm-{n}" not in machine.mappings)
        inner = volume.inner.setdefault((offset, sectors), Volume())
        name = f"dm-{number}"
        machine.mappings[name] = Mapping(name, title, uuid, device, inner)
        return OK

    def unmap(self, title: str, *, half: bool) -> Answer:
        machine = self.machine
        mapping = next((m for m in machine.mappings.values() if m.title == title), None)
        if mapping is None:
            return 1, "", f"Device {title} not found"
        if machine.in_use(mapping.name):
            return 1, "", f"device-mapper: remove ioctl on {title} failed: Device or resource busy"
        del machine.mappings[mapping.name]
        return OK

    # filesystems

    def make_filesystem(
        self, type: str, device: str, *, half: bool, uuid: str, label: str
    ) -> Answer:
        volume = self.machine.volume_of(device)
        if volume is None:
            return 1, "", f"mkfs: cannot open /dev/{device}"
        volume.content[:] = [Content(type, None if half else uuid, label)]
        return OK

    def mount(self, fstype: str, options: str, device: str, path: str, *, half: bool) -> Answer:
        volume = self.machine.volume_of(device)
        if volume is None or not any(each.type == fstype for each in volume.content):
            return 32, "", "wrong fs type, bad option, bad superblock"
        if not Path(_plain(path)).is_dir():
            return 32, "", "mount point does not exist."
        entry = Mounted(device, _plain(path), fstype, frozenset(options.split(",")))
        self.machine.mounts.append(entry)
        return OK

    def umount(self, path: str, *, half: bool) -> Answer:
        machine, place = self.machine, _plain(path)
        entry = machine.mounted(place)
        if entry is None:
            return 32, "", "not mounted"
        if any(process.path.startswith(place) for process in machine.processes.values()):
            return 32, "", "target is busy"
        machine.mounts.remove(entry)
        return OK

    # what the core does with its own hands

    def wipe(self, device: str, *, half: bool) -> Answer:
        machine = self.machine
        if volume := machine.volume_of(device):
            if machine.in_use(device):
                return 1, "", f"wipefs: error: /dev/{device}: Device or resource busy"
            volume.content.clear()
            return OK
        disk = machine.disk_at(device)
        if disk is None:
            return 1, "", f"wipefs: error: /dev/{device}: No such file or directory"
        if machine.in_use(device):
            return 1, "", f"wipefs: error: /dev/{device}: Device or resource busy"
        _erase(disk, half=half)
        return OK


def _erase(disk: Disk, *, half: bool) -> None:
    if half and disk.content:
        disk.content.pop()
        return
    disk.erase()


def _events(block: Superblock) -> int:
    return block.events


def _plain(word: str) -> str:
    return shlex.split(word)[0]


def _dashed(uuid: str) -> str:
    digits = uuid.replace(":", "")
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


_NODE = r"/dev/sdx[a-z]\d*"
_DEVICE = r"/dev/(?P<device>(?:md|dm-)\d+)"
_KNOWN = (
    (r"(?P<program>mdadm|mkfs\.\w+) (?:--version|-V)", Programs.version),
    (rf"mdadm --examine --config=none(?P<nodes>( {_NODE})+)", Programs.examine),
    (
        r"mdadm --create /dev/md/\S+ --config=none --run --uuid=(?P<uuid>\S+) --name=(?P<name>\S+) "
        r"--homehost=any --metadata=1\.2 --level=(?P<level>\w+) --raid-devices=(?P<slots>\d+)"
        rf"( --force)?( --bitmap=internal)?(?P<nodes>( {_NODE})+)",
        Programs.create,
    ),
    (
        r"mdadm --assemble /dev/md/\S+ --config=none --uuid=(?P<uuid>\S+)"
        r"(?P<run> --run( --force)?)?"
        rf"(?P<nodes>( {_NODE})+)",
        Programs.assemble,
    ),
    (
        r"mdadm --assemble /dev/md/\S+ --config=none --uuid=(?P<uuid>\S+) --force --run --readonly"
        rf"(?P<nodes>( {_NODE})+)",
        Programs.assemble_by_force,
    ),
    (rf"mdadm --stop --config=none {_DEVICE}", Programs.stop),
    (rf"mdadm --manage {_DEVICE} (?P<how>--add|--re-add) (?P<node>{_NODE})", Programs.add),
    (rf"mdadm --manage {_DEVICE} --remove failed --remove detached", Programs.remove_failed),
    (rf"mdadm --manage {_DEVICE} --remove (?P<node>{_NODE})", Programs.remove),
    (
        rf"mdadm --manage {_DEVICE} --replace (?P<old>{_NODE}) --with (?P<new>{_NODE})",
        Programs.replace,
    ),
    (
        rf"dmsetup create (?P<title>\S+) --uuid (?P<uuid>\S+) --table '0 (?P<sectors>\d+) linear "
        rf"{_DEVICE} (?P<offset>\d+)'",
        Programs.map,
    ),
    (r"dmsetup remove --retry (?P<title>\S+)", Programs.unmap),
    (
        r"mkfs\.(?P<type>ext4)( -O none,\S+)? -F -q -m 0 -b 4096 -U (?P<uuid>\S+) "
        rf"-L (?P<label>.+) {_DEVICE}",
        Programs.make_filesystem,
    ),
    (
        rf"mkfs\.(?P<type>xfs) -f -q -s size=4096 -m uuid=(?P<uuid>\S+) -L (?P<label>.+) {_DEVICE}",
        Programs.make_filesystem,
    ),
    (
        rf"mkfs\.(?P<type>btrfs) -f -q -U (?P<uuid>\S+) -L (?P<label>.+) {_DEVICE}",
        Programs.make_filesystem,
    ),
    (
        rf"mount -t (?P<fstype>\w+) -o (?P<options>\S+) -- {_DEVICE} "
        r"(?P<path>.+)",
        Programs.mount,
    ),
    (r"umount -- (?P<path>.+)", Programs.umount),
    (r"wipefs --all /dev/(?P<device>[\w-]+)", Programs.wipe),
)

__all__ = ["MD", "OK", "Answer", "Programs", "UnknownCommand"]
