"""Looking at devices, mounts and signatures, before any backend is asked."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from operator import attrgetter
from types import MappingProxyType
from typing import NamedTuple

from backy_core.config.settings import Settings
from backy_core.machine.inventory import Drive, build_inventory, names_of
from backy_core.machine.signature_cache import SignatureCache
from backy_core.machine.snapshot import Snapshot
from backy_core.sdk.models import Delivers, DriveId, PoolReport, ProbedDrive, Signature, Unreadable
from backy_core.system.blocks import BlockDevice
from backy_core.system.clock import Clock
from backy_core.system.machine import Machine
from backy_core.system.md_arrays import differing, read_states
from backy_core.system.mounts import MountEntry

_MDSTAT_S = 3.0
"""How long a scan waits for ``/proc/mdstat``, which may wait for a drive itself."""


class Answer(NamedTuple):
    """A backend's result: its pools, and for each unreadable drive the reason."""

    reports: tuple[PoolReport, ...]
    unreadable: Mapping[DriveId, str]

    @classmethod
    def of(
        cls, reports: Iterable[PoolReport], unreadable: Mapping[DriveId, str] = MappingProxyType({})
    ) -> Answer:
        """Reports in one order, however much of them was inspected at once."""
        return cls(tuple(sorted(reports, key=attrgetter("native_id"))), unreadable)

    def keeps(self, last: Iterable[PoolReport]) -> tuple[PoolReport, ...]:
        """The ``last`` reports that stay: what would tell of these pools cannot be read."""
        reported = {report.native_id for report in self.reports}
        return tuple(
            report
            for report in last
            if report.native_id not in reported
            and any(member.drive in self.unreadable for member in report.members)
        )


class Survey(NamedTuple):
    """The result of one scan. ``ticket`` orders scans by the moment they began."""

    ticket: int
    devices: tuple[BlockDevice, ...]
    mounts: tuple[MountEntry, ...]
    swaps: frozenset[str]
    drives: tuple[Drive, ...]
    signatures: Mapping[str, tuple[Signature, ...]]
    unprobed: Mapping[str, str]
    given_up: Mapping[str, str]
    arrays: Mapping[str, str] | None
    """State of each md array, to compare; None if the kernel does not tell."""

    def concerning(self, delivers: Delivers) -> tuple[object, ...]:
        """The part that the pools of a backend can depend on: a block device does not on mounts."""
        seen = (tuple(map(_unmounted, self.devices)), self.signatures, self.unprobed)
        return (*seen, self.mounts) if delivers == "filesystem" else seen

    def probed_drives(self) -> tuple[ProbedDrive, ...]:
        """Drives that backends may see; excluded drives are left out."""
        return tuple(
            ProbedDrive(
                name=drive.name, node=drive.node, id=drive.id, links=tuple(drive.device.links)
            )
            for drive in self.drives
            if not drive.excluded
        )

    def all_signatures(self) -> tuple[Signature, ...]:
        """In the order of the devices, whichever were probed for this scan."""
        return tuple(
            signature
            for device in self.devices
            for signature in self.signatures.get(device.name, ())
        )

    def answered(self, answers: Iterable[PoolReport | Unreadable]) -> Answer:
        """A backend's result, with devices translated to drives."""
        by_device = {name: drive.id for drive in self.drives for name in names_of(drive.device)}
        reports = [
            _with_drives(report, by_device) for report in answers if isinstance(report, PoolReport)
        ]
        doubts = (
            answer
            for answer in answers
            if isinstance(answer, Unreadable) and answer.device in by_device
        )
        return Answer.of(reports, {by_device[doubt.device]: doubt.reason for doubt in doubts})


def _unmounted(device: BlockDevice) -> BlockDevice:
    children = tuple(map(_unmounted, device.children))
    return replace(device, mountpoint=None, children=children)


def _with_drives(report: PoolReport, by_device: Mapping[str, DriveId]) -> PoolReport:
    members = tuple(
        member.model_copy(update={"drive": by_device.get(member.device or "")})
        for member in report.members
    )
    return report.model_copy(update={"members": members})


class _Seen(NamedTuple):
    devices: tuple[BlockDevice, ...]
    mounts: tuple[MountEntry, ...]
    swaps: frozenset[str]


class Surveyor:
    def __init__(self, settings: Settings, machine: Machine, clock: Clock) -> None:
        self._settings = settings
        self._machine = machine
        self._tickets = itertools.count(1)
        self._mountinfo = b""
        self._arrays: Mapping[str, str] | None = None
        self.cache = SignatureCache(machine.signatures, clock)

    async def look(self) -> Survey:
        """Starts no process but the probe of devices that may have changed."""
        ticket = next(self._tickets)
        (self._mountinfo, seen), self._arrays = await asyncio.gather(
            self._machine.threads.apart(self._read, "devices"), self._read_arrays()
        )
        arrays = self._arrays
        given_up = await self._machine.mounts.given_up(seen.mounts)
        drives = build_inventory(*seen, self._settings)
        shown = {n for drive in drives if not drive.excluded for n in names_of(drive.device)}
        probed = await self.cache.look([device for device in seen.devices if device.name in shown])
        return Survey(ticket, *seen, drives, probed.found, probed.failed, given_up, arrays)

    async def changed_arrays(self) -> frozenset[str]:
        """Kernel names of md arrays that differ from the last scan: none that breaks once it is
        clean is announced."""
        then, now = self._arrays, await self._read_arrays()
        return differing(then, now) if then is not None and now is not None else frozenset()

    async def _read_arrays(self) -> Mapping[str, str] | None:
        read = partial(read_states, self._machine.kernel.read_whole)
        try:
            return await self._machine.threads.in_thread(read, "states of arrays", _MDSTAT_S)
        except TimeoutError:
            return None

    async def mounts_changed(self, snapshot: Snapshot) -> bool:
        """Whether filesystems differ from the last scan: no kernel event announces one that turned
        read-only."""
        if await self._read_own() != self._mountinfo:
            return True
        return await self._machine.mounts.given_up(snapshot.mounts) != snapshot.given_up

    async def _read_own(self) -> bytes:
        return await self._machine.threads.apart(self._machine.mounts.read_own, "mounts")

    def _read(self) -> tuple[bytes, _Seen]:
        """One thread for all of it: another one costs more than to read on."""
        devices, mounts = self._machine.devices, self._machine.mounts
        own = mounts.read_own()
        return own, _Seen(devices.read_block_devices(), mounts.read_mounts(), devices.swaps())
