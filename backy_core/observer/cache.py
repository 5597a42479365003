"""What each device bore when it was last probed, until something may have changed it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from backy_core.sdk.models import Signature
from backy_core.system.blocks import BlockDevice
from backy_core.system.signatures import Probed, probe_each


@dataclass(frozen=True)
class _Known:
    disk: tuple[str, str, int | None]
    signatures: tuple[Signature, ...]


class SignatureCache:
    """Probes a device when it is new, another one under the same name, or was written to.

    udev announces every close of a node that was open for writing as a change; what this
    process's children write is forgotten by whoever started them. A forgetting that comes while
    a probe runs wins: that probe's answer may be from before.
    """

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._marks: dict[str, int] = {}
        self._all_marks = 0

    def forget(self, names: Iterable[str]) -> None:
        """Probe these again; an empty name means all."""
        for name in names:
            self._marks[name] = self._marks.get(name, 0) + 1
            self._known.pop(name, None)
            if not name:
                self._all_marks += 1
                self._known.clear()

    async def look(self, devices: Sequence[BlockDevice]) -> Probed:
        """What each device bears, or why it cannot be read; both by kernel name."""
        current = {device.name: device for device in devices}
        unknown = [device for device in devices if self._valid(device) is None]
        marks = {device.name: self._mark(device.name) for device in unknown}
        probed = await probe_each([device.path for device in unknown])
        for name, signatures in probed.found.items():
            if name in current and marks.get(name) == self._mark(name):
                self._known[name] = _Known(_disk(current[name]), signatures)
        self._known = {name: self._known[name] for name in self._known.keys() & current.keys()}
        found = self._merged(devices, probed.found)
        # No answer must never be taken for "blank".
        silent = dict.fromkeys(current.keys() - found.keys(), "it was not probed")
        return Probed(found, {**silent, **probed.failed})

    def _merged(
        self, devices: Sequence[BlockDevice], fresh: Mapping[str, tuple[Signature, ...]]
    ) -> dict[str, tuple[Signature, ...]]:
        found = dict(fresh)
        for device in devices:
            known = self._valid(device)
            if known is not None:
                found[device.name] = known.signatures
        return found

    def _valid(self, device: BlockDevice) -> _Known | None:
        known = self._known.get(device.name)
        return known if known is not None and known.disk == _disk(device) else None

    def _mark(self, name: str) -> int:
        return self._marks.get(name, 0) + self._all_marks


def _disk(device: BlockDevice) -> tuple[str, str, int | None]:
    return (device.name, device.majmin, device.diskseq)
