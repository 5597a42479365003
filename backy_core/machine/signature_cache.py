"""A cache of each device's signatures and superblocks, valid until they may have changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from backy_core.sdk.models import Signature
from backy_core.system.blocks import BlockDevice
from backy_core.system.clock import Clock
from backy_core.system.machine import Signatures
from backy_core.system.signatures import Probed

_Disk = tuple[str, str, int | None]
_SLOW_S = 5.0
_HUNG_S = 60.0
"""How long a disk whose probe hung is left alone, unless it is asked for by name."""


class _Known(NamedTuple):
    """``superblocks``: by offset and length, as read while ``above`` was built on the device."""

    disk: _Disk
    signatures: tuple[Signature, ...]
    above: tuple[_Disk, ...]
    superblocks: dict[tuple[int, int], bytes]


class _Hung(NamedTuple):
    """``until`` is by the monotonic clock."""

    disk: _Disk
    reason: str
    until: float


class SignatureCache:
    """Probes a device when it is new, another one under the same name, or was written to.

    udev announces every close of a node that was open for writing as a change; what this
    process's children write is forgotten by whoever started them. A forgetting that comes while
    a probe runs wins: that probe's answer may be from before.
    """

    def __init__(self, probing: Signatures, clock: Clock) -> None:
        self._probing = probing
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._hung: dict[str, _Hung] = {}
        self._marks: dict[str, int] = {}
        self._all_marks = 0

    def forget(self, names: Iterable[str]) -> None:
        """Probe these again; an empty name means all."""
        for name in names:
            self._marks[name] = self._marks.get(name, 0) + 1
            self._known.pop(name, None)
            self._hung.pop(name, None)
            if not name:
                self._all_marks += 1
                self._known.clear()
                self._hung.clear()

    async def look(self, devices: Sequence[BlockDevice]) -> Probed:
        """Signatures of each device, or why it cannot be read; both by kernel name."""
        current = {device.name: device for device in devices}
        self._forget_superblocks(current)
        hung = {device.name: why for device in devices if (why := self._hangs(device)) is not None}
        valid = {
            device.name: kept.signatures for device in devices if (kept := self._valid(device))
        }
        unknown = [device for device in devices if device.name not in valid.keys() | hung.keys()]
        marks = {device.name: self._mark(device.name) for device in unknown}
        began = self._clock.monotonic()
        probed = await self._probing.probe_each([device.path for device in unknown])
        if self._clock.monotonic() - began >= _SLOW_S:
            self._remember_hung(current, probed.failed)
        for name, signatures in probed.found.items():
            if name in current and marks.get(name) == self._mark(name):
                device = current[name]
                self._known[name] = _Known(_disk(device), signatures, _above(device), {})
        self._known = {name: self._known[name] for name in self._known.keys() & current.keys()}
        # As it was known when this look began: what is forgotten meanwhile is for the next one.
        found = {**valid, **probed.found}
        # No answer must never be taken for "blank".
        silent = dict.fromkeys(current.keys() - found.keys(), "it was not probed")
        return Probed(found, {**silent, **hung, **probed.failed})

    async def superblock(
        self, signature: Signature, length: int, read: Callable[[], Awaitable[bytes | None]]
    ) -> bytes | None:
        """Call ``read`` once for as long as the signature is known and the same devices are built
        on its device: the kernel may write to a member without an event until its array stops."""
        known, place = self._known.get(signature.device), (signature.offset, length)
        if known is None:
            return await read()
        if place not in known.superblocks and (superblock := await read()) is not None:
            if self._known.get(signature.device) is not known:
                return superblock
            known.superblocks[place] = superblock
        return known.superblocks.get(place)

    def _forget_superblocks(self, devices: Mapping[str, BlockDevice]) -> None:
        """Those of devices on which another one is built than when they were read."""
        for name, known in self._known.items():
            if name in devices and known.above != (above := _above(devices[name])):
                self._known[name] = known._replace(above=above, superblocks={})

    def _remember_hung(self, devices: Mapping[str, BlockDevice], failed: Mapping[str, str]) -> None:
        """Skip a disk that does not answer, so that it does not delay each scan of the others."""
        until = self._clock.monotonic() + _HUNG_S
        for name, reason in failed.items():
            if name in devices:
                self._hung[name] = _Hung(_disk(devices[name]), reason, until)

    def _hangs(self, device: BlockDevice) -> str | None:
        hung = self._hung.get(device.name)
        if hung is None or hung.disk != _disk(device) or self._clock.monotonic() >= hung.until:
            return None
        return hung.reason

    def _valid(self, device: BlockDevice) -> _Known | None:
        kept = self._known.get(device.name)
        return kept if kept is not None and kept.disk == _disk(device) else None

    def _mark(self, name: str) -> int:
        return self._marks.get(name, 0) + self._all_marks


def _disk(device: BlockDevice) -> _Disk:
    return (device.name, device.majmin, device.diskseq)


def _above(device: BlockDevice) -> tuple[_Disk, ...]:
    return tuple(map(_disk, device.children))
