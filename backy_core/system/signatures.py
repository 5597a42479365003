"""Signatures on devices: finding them and erasing them."""

from backy_core.system.probing import (
    Probed,
    ProbeFailed,
    probe,
    probe_drive,
    probe_each,
)
from backy_core.system.wipe import wipe_device

__all__ = [
    "ProbeFailed",
    "Probed",
    "probe",
    "probe_drive",
    "probe_each",
    "wipe_device",
]
