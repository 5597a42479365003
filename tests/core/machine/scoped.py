"""A fake machine with several md arrays, what is done to it, and the events that this gives."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from backy_mdadm import hooks
from backy_mdadm.naming import array_name

from backy_core.config.settings import Settings
from backy_core.machine.observer import Observer
from backy_core.plugins.loading import load_backends
from backy_core.sdk import hookimpl
from backy_core.sdk.models import PoolReport, Probe, Unreadable
from backy_core.sdk.scope import Scope
from tests.core.machine.watched import Events
from tests.fakes.clock import FakeClock
from tests.fakes.machine import FakeMachine
from tests.fakes.model import MD, Array, Content, Disk
from tests.fakes.parts import assembled
from tests.fakes.running import FakePrograms

T = TypeVar("T")

SERIALS = "ABCDEFGHIJ"
POOLS = ("AB", "CD", "EFG")
"""The drives of each array that runs from the beginning."""
_NAMES = 26
"""How many drives the fake machine can name before a name comes again."""


class Recorded:
    """The mdadm backend, which notes the scope of each inspection."""

    backy_backend = staticmethod(hooks.backy_backend)
    backy_plan_create = staticmethod(hooks.backy_plan_create)
    backy_plan_open = staticmethod(hooks.backy_plan_open)
    backy_plan_close = staticmethod(hooks.backy_plan_close)
    backy_plan_add_drive = staticmethod(hooks.backy_plan_add_drive)

    def __init__(self) -> None:
        self.scopes: list[Scope | None] = []

    @hookimpl
    async def backy_inspect(
        self, probe: Probe, only: Scope | None
    ) -> Sequence[PoolReport | Unreadable]:
        self.scopes.append(only)
        return await hooks.backy_inspect(probe, only)


class World:
    """Each action takes a number, by which it chooses what it is done to."""

    def __init__(self) -> None:
        self.machine = FakeMachine()
        self.events = Events()
        self.events.stop()  # nobody listens yet
        self.backend = Recorded()
        self.guids: list[str] = []
        self._named = len(SERIALS)
        for serial in SERIALS:
            self.machine.add(serial)
        host = load_backends(
            installed_backends=(), builtin=[("mdadm", self.backend)], installed_listeners=()
        )
        assert set(host.backends) == {"mdadm"}, host.failed
        parts = assembled(self.machine, FakePrograms(self.machine))
        given = Settings(drives_rescan_s=0)
        self.observer = Observer(given, host, parts, FakeClock(), self.events)
        for serials in POOLS:
            self._make([self.machine.disks[serial] for serial in serials])

    # what is done

    def fail(self, number: int) -> None:
        """A member of an array fails."""
        array = _chosen(list(self.machine.arrays.values()), number)
        if array and (member := _chosen(array.members, number)):
            member.state = "faulty"
            self.events.on_mdstat()

    def break_array(self, number: int) -> None:
        """Too many members failed, which Linux 6.1 shows in sysfs only."""
        if array := _chosen(list(self.machine.arrays.values()), number):
            array.state = "broken"
            self.events.on_mdstat()

    def pull(self, number: int) -> None:
        if disk := _chosen(list(self.machine.disks.values()), number):
            held = self.machine.holders(disk.name)
            self.machine.unplug(disk.serial)
            self.events.on_block("remove", disk.name)
            if held:
                self.events.on_mdstat()

    def plug(self, number: int) -> None:
        """A drive returns, under another name."""
        disk = _chosen(list(self.machine.shelf.values()), number)
        if disk and self._may_name(1):
            self.machine.plug(disk.serial)
            self.events.on_block("add", disk.name)

    def create(self, number: int) -> None:
        """A program beside the agent makes an array of two drives."""
        idle = [disk for disk in self._idle() if disk.blank]
        if len(idle) >= 2:
            start = number % (len(idle) - 1)
            self._make(idle[start : start + 2])

    def stop(self, number: int) -> None:
        if array := _chosen(list(self.machine.arrays.values()), number):
            del self.machine.arrays[array.name]
            self.events.on_block("remove", array.name)
            self.events.on_mdstat()

    def assemble(self, number: int) -> None:
        """All idle drives with one UUID, degraded if some are absent."""
        stamps = sorted({disk.superblock.uuid for disk in self._idle() if disk.superblock})
        if stamp := _chosen(stamps, number):
            own = [d for d in self._idle() if d.superblock and d.superblock.uuid == stamp]
            self._start(own)

    def copy(self, number: int) -> None:
        """As dd does, from a drive in use to an idle one."""
        idle = _chosen(self._idle(), number)
        stamped = [d for d in self.machine.disks.values() if d.superblock and d is not idle]
        if idle and (source := _chosen(stamped, number // 3)):
            self.machine.copy(source.serial, idle.serial)
            self.events.on_block("change", idle.name)

    def erase(self, number: int) -> None:
        if disk := _chosen(self._idle(), number):
            disk.erase()
            self.events.on_block("change", disk.name)

    def write(self, number: int) -> None:
        """A filesystem on an idle drive."""
        if disk := _chosen(self._idle(), number):
            disk.content = [Content("ext4", str(uuid.UUID(int=number)))]
            self.events.on_block("change", disk.name)

    def garble(self, number: int) -> None:
        """The superblock of an idle drive loses its UUID."""
        if disk := _chosen(self._idle(), number):
            disk.erase()
            disk.content = [Content(MD)]
            self.events.on_block("change", disk.name)

    def relabel(self, number: int) -> None:
        """Another name for an array, in the superblock of one idle member."""
        stamped = [disk for disk in self._idle() if disk.superblock]
        if (disk := _chosen(stamped, number)) and disk.superblock:
            disk.superblock = replace(disk.superblock, name=f"other{number}")
            self.events.on_block("change", disk.name)

    def rename(self, number: int) -> None:
        """All kernel names change."""
        if self._may_name(len(self.machine.disks)) and min(map(_digits, self.machine.arrays)) > 100:
            names = (*self._drives(), *self.machine.arrays)
            self.machine.renumber()
            for name in names:
                self.events.on_block("remove", name)
            for name in (*self._drives(), *self.machine.arrays):
                self.events.on_block("add", name)
            self.events.on_mdstat()

    def spoil(self, number: int) -> None:
        """A drive gives read errors, or gives them no longer."""
        if disk := _chosen(list(self.machine.disks.values()), number):
            self.machine.unreadable ^= {disk.name}
            self.events.on_block("change", disk.name)

    def lose_events(self, number: int) -> None:
        """Something happened, and the socket had no room for the event."""
        if disk := _chosen(self._idle(), number):
            disk.erase()
            self.events.on_block("change", "")

    # how

    def _make(self, disks: Sequence[Disk]) -> None:
        guid = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{len(self.guids)}"))
        self.guids.append(guid)
        self.machine.make_pool(guid, array_name(guid), *(disk.serial for disk in disks))
        for disk in disks:
            self.events.on_block("change", disk.name)
        self._start(disks)

    def _start(self, disks: Sequence[Disk]) -> None:
        name = self.machine.free_array_name()
        self.machine.start_array(name, list(disks), degraded=True)
        self.events.on_block("add", name)
        self.events.on_mdstat()

    def _idle(self) -> list[Disk]:
        disks = self.machine.disks.values()
        return [disk for disk in disks if not self.machine.in_use(disk.name)]

    def _drives(self) -> list[str]:
        return [disk.name for disk in self.machine.disks.values()]

    def _may_name(self, count: int) -> bool:
        self._named += count
        return self._named <= _NAMES

    def array(self, guid: str) -> Array:
        (array,) = (array for array in self.machine.arrays.values() if array.uuid == guid)
        return array


def _digits(name: str) -> int:
    return int(name.removeprefix("md"))


def _chosen(choices: Sequence[T], number: int) -> T | None:
    return choices[number % len(choices)] if choices else None
