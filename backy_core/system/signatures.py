"""Signatures on devices: finding them and erasing them."""

from backy_core.system.probing import (
    Probed,
    ProbeFailed,
    probe,
    probe_drive,
    probe_each,
    probe_for,
)
from backy_core.system.wipe import wipe_device

__all__ = [
    "ProbeFailed",
    "Probed",
    "probe",
    "probe_drive",
    "probe_each",
    "probe_for",
    "wipe_device",
]
