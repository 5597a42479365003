"""Block devices of the fake machine, and what is written on them."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from backy_core.sdk.errors import DriveInUse, SystemFailure
from backy_core.sdk.models import Signature
from backy_core.system.absence import look_failed
from backy_core.system.block_devices import BlockDevice
from backy_core.system.signatures import Probed, ProbeFailed
from tests.fakes.machine import FakeMachine
from tests.fakes.model import Array, Disk, Mapping
from tests.fakes.running import FakePrograms


class FakeDevices:
    def __init__(self, machine: FakeMachine) -> None:
        self.machine = machine

    def read_block_devices(self) -> tuple[BlockDevice, ...]:
        self.machine.interruptions.alive()
        if self.machine.out_of_descriptors:
            raise look_failed("/sys/class/block", OSError(errno.EMFILE, "Too many open files"))
        mappings = {each.below: self._mapping(each) for each in self.machine.mappings.values()}
        arrays = {
            name: self._array(each, mappings.get(name))
            for name, each in self.machine.arrays.items()
        }
        found: list[BlockDevice] = []
        for disk in self.machine.disks.values():
            parts = [self._part(disk, name, n) for n, name in enumerate(disk.partitions, 1)]
            above = [arrays[name] for name in self.machine.holders(disk.name)]
            found += [self._disk(disk, (*parts, *above)), *parts]
        return (*found, *arrays.values(), *mappings.values())

    def _disk(self, disk: Disk, children: tuple[BlockDevice, ...]) -> BlockDevice:
        return BlockDevice(
            name=disk.name,
            path=f"/dev/{disk.name}",
            type="disk",
            size=disk.size,
            majmin=disk_number(disk),
            serial=None if disk.anonymous else disk.serial,
            wwn=disk.wwn,
            mountpoint=self._mountpoint(disk.name),
            links=() if disk.anonymous else (f"scsi-{disk.serial}",),
            logical_sector=disk.sector,
            diskseq=disk.number,
            children=children,
        )

    def _part(self, disk: Disk, name: str, number: int) -> BlockDevice:
        return BlockDevice(
            name=name,
            path=f"/dev/{name}",
            type="part",
            size=disk.size // 2,
            majmin=f"8:{ord(disk.name[-1])}{number}",
            mountpoint=self._mountpoint(name),
            parents=(disk.name,),
        )

    def _array(self, array: Array, above: BlockDevice | None) -> BlockDevice:
        seen = array.volume.content[0] if array.running and array.volume.content else None
        return BlockDevice(
            name=array.name,
            path=f"/dev/{array.name}",
            type=array.level,
            size=array.members[0].disk.size if array.members else 0,
            majmin=number_of(array.name),
            fstype=seen.type if seen else None,
            uuid=seen.uuid if seen else None,
            mountpoint=self._mountpoint(array.name),
            parents=tuple(member.disk.name for member in array.members),
            children=(above,) if above else (),
        )

    def _mapping(self, mapping: Mapping) -> BlockDevice:
        seen = mapping.volume.content[0] if mapping.volume.content else None
        return BlockDevice(
            name=mapping.name,
            path=f"/dev/{mapping.name}",
            type="dm",
            size=0,
            majmin=number_of(mapping.name),
            fstype=seen.type if seen else None,
            uuid=seen.uuid if seen else None,
            mountpoint=self._mountpoint(mapping.name),
            parents=(mapping.below,),
        )

    def _mountpoint(self, name: str) -> str | None:
        return next((m.path for m in self.machine.mounts if m.device == name), None)

    def holders(self, name: str) -> tuple[str, ...]:
        self.machine.interruptions.alive()
        return self.machine.holders(name)

    def swaps(self) -> frozenset[str]:
        return frozenset()

    def node_exists(self, name: str) -> bool:
        return self.machine.exists(name)

    def kernel_name(self, node: str) -> str:
        return Path(node).name

    def diskseq(self, name: str) -> int | None:
        disk = self.machine.disk_at(name)
        return disk.number if disk else None

    @asynccontextmanager
    async def exclusively(self, node: str) -> AsyncIterator[int]:
        name = Path(node).name
        if not self.machine.exists(name):
            raise SystemFailure(f"{node} cannot be opened", details="no such device")
        if self.machine.in_use(name):
            raise DriveInUse(f"{node} is in use by the kernel or another program")
        yield -1

    @asynccontextmanager
    async def disk_lock(self, node: str, timeout_s: float) -> AsyncIterator[None]:
        if not self.machine.exists(Path(node).name):
            raise SystemFailure(f"{node} cannot be opened", details="no such device")
        yield


class FakeSignatures:
    def __init__(self, machine: FakeMachine, devices: FakeDevices, programs: FakePrograms) -> None:
        self.machine = machine
        self._devices = devices
        self._programs = programs

    async def probe(self, nodes: Sequence[str]) -> dict[str, tuple[Signature, ...]]:
        probed = await self.probe_each(nodes)
        for name, reason in probed.failed.items():
            raise _failure(name, reason)
        return dict(probed.found)

    async def probe_for(self, node: str, type: str) -> tuple[Signature, ...]:
        found = (await self.probe([node]))[Path(node).name]
        return tuple(each for each in found if each.type == type)

    async def probe_drive(self, name: str) -> tuple[Signature, ...]:
        disk = self.machine.disk_at(name)
        parts = disk.partitions if disk else ()
        found = await self.probe([f"/dev/{each}" for each in (name, *parts)])
        return tuple(each for signatures in found.values() for each in signatures)

    async def probe_each(self, nodes: Sequence[str]) -> Probed:
        self.machine.interruptions.alive()
        names = [Path(node).name for node in nodes]
        failed = {name: reason for name in names if (reason := self._unreadable(name))}
        found = {it: self.machine.signatures(it) for it in names if it not in failed}
        return Probed(found, failed)

    def _unreadable(self, name: str) -> str | None:
        if not self.machine.exists(name):
            return f"/dev/{name} cannot be opened: No such file or directory"
        if name in self.machine.unreadable:
            return f"/dev/{name} cannot be read: Input/output error"
        return None

    async def wipe_device(self, node: str, *, log: Callable[[str], None]) -> None:
        """The real one runs wipefs and looks again: one command here."""
        async with self._devices.exclusively(node):
            pass
        await self._programs.run(("wipefs", "--all", node), on_line=log)
        if not self._blank(Path(node).name):
            raise SystemFailure(f"{node} still bears signatures after it was wiped")

    def _blank(self, name: str) -> bool:
        disk = self.machine.disk_at(name)
        return disk.blank if disk else not self.machine.content_of(name)


def _failure(name: str, reason: str) -> ProbeFailed:
    return ProbeFailed(f"Device {name} cannot be probed for signatures", details=reason)


def number_of(name: str) -> str:
    """Major and minor number of an array or a mapping."""
    if name.startswith("md"):
        return f"9:{name[2:]}"
    return f"253:{name[3:]}" if name.startswith("dm-") else "8:1"


def disk_number(disk: Disk) -> str:
    return f"8:{ord(disk.name[-1])}"
