"""Drives of a guest: what they are called, how large they are, what carries them."""

import hashlib
import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

from .errors import LabError

Bus = Literal["scsi", "ubd"]
"""scsi: a TCM loop disk over an image file, may be unplugged at any time. ubd: User Mode Linux's
own block driver, the quickest to set up, refuses removal while in use."""

Fault = Literal["none", "error", "flakey", "write-error", "drop-writes", "slow"]
"""What a drive made with `faults=True` can be told to do: fail all I/O; fail it every other second;
fail writes only; acknowledge writes and lose them; take 200 ms for each request."""

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"(\d+)([KMGT]?)i?B?")


@dataclass(frozen=True)
class Drive:
    """One drive. `size` and `sector` in bytes. `faults` puts device-mapper below it (scsi only).

    `name` tells two drives with one serial apart (in the image's file name and in `unplug`).
    """

    serial: str
    size: int = 256 << 20
    bus: Bus = "scsi"
    faults: bool = False
    name: str = ""
    sector: int = 512

    def __post_init__(self) -> None:
        if self.faults and self.bus != "scsi":
            raise LabError(f"Drive {self.serial} must be on the scsi bus to have faults.")
        if not self.serial or not self.serial.isprintable() or {",", "="} & set(self.serial):
            raise LabError(f"{self.serial!r} cannot be the serial of a drive of the lab.")
        object.__setattr__(self, "name", self.name or self.serial)

    @property
    def image(self) -> str:
        """File name of the image; a digest keeps odd serials harmless."""
        readable = re.sub(r"[^A-Za-z0-9_.-]", "_", self.name)
        if readable == self.name:
            return f"{readable}.img"
        return f"{readable}-{hashlib.sha256(self.name.encode()).hexdigest()[:8]}.img"

    def to_json(self) -> dict[str, Any]:
        """Plain data for the guest and for the state directory; `image` rides along."""
        return {**asdict(self), "image": self.image}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Drive":
        """The inverse of `to_json`."""
        names = ("serial", "size", "bus", "faults", "name", "sector")
        return cls(*(data[name] for name in names))


def parse_size(text: str) -> int:
    """`256M`, `1G`, `4096` in bytes; raises LabError for anything else."""
    match = _SIZE.fullmatch(text.strip().upper().replace("IB", "B"))
    if not match:
        raise LabError(f"{text!r} is not a size; write for example 256M or 1G.")
    return int(match[1]) * _UNITS[match[2]]


def numbered(
    count: int, size: int = 256 << 20, bus: Bus = "scsi", *, faults: bool = False
) -> list[Drive]:
    """`drive-scsi1` to `drive-scsiN`, the serials of the contract's examples."""
    return [Drive(f"drive-scsi{number}", size, bus, faults) for number in range(1, count + 1)]
