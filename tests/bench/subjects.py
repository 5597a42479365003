"""The pools that are made, and the other pools of the machine."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.bench.guests import Bench, Waiting
from tests.kernel.lab.drives import Drive, numbered

_MADE_AT_ONCE = 4


@dataclass(frozen=True)
class Kind:
    """A pool's options in a request, and what a guest needs for it."""

    title: str
    options: Mapping[str, str]
    guest: Mapping[str, Any] = field(default_factory=dict)


MDADM = Kind("mdadm RAID1 + ext4", {"backend": "mdadm", "level": "raid1"})
LVM = Kind("LVM raid1 + ext4", {"backend": "lvm", "level": "raid1"}, {"raid6": True})


def guest_options(kinds: Iterable[Kind]) -> dict[str, Any]:
    """Options of a guest for all of ``kinds``."""
    return {name: option for kind in kinds for name, option in kind.guest.items()}


def request(guid: str, kind: Kind, drives: Sequence[Drive]) -> dict[str, Any]:
    return {
        "label": "bench",
        "driveSerials": [drive.serial for drive in drives],
        "mountPath": f"/mnt/backy/{guid}",
        "poolGroupGuid": guid,
        "wipe": True,
        **kind.options,
    }


def other_drives(pools: int, spare: int = 0) -> list[Drive]:
    """Two drives for each of ``pools``, and some that nothing uses."""
    return numbered(2 * pools + spare, 64 << 20)


def make_others(bench: Bench, kinds: Sequence[Kind], drives: Sequence[Drive]) -> list[str]:
    """A pool of each of ``kinds`` on two of ``drives``, made by the agent; their GUIDs."""
    made: list[str] = []
    with bench.calls() as call:
        for first in range(0, len(kinds), _MADE_AT_ONCE):
            numbers = range(first, min(first + _MADE_AT_ONCE, len(kinds)))
            guids = [str(uuid.uuid4()) for _ in numbers]
            for guid, number in zip(guids, numbers, strict=True):
                pair = drives[2 * number : 2 * number + 2]
                call("POST", "/pools", request(guid, kinds[number], pair))
            Waiting().until_ready(call, guids, time.perf_counter())
            made += guids
    return made
