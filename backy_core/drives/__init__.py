"""Drives: inventory, identity, guards."""

from backy_core.drives.guards import unavailable_because
from backy_core.drives.inventory import (
    Drive,
    DriveAbsent,
    build_inventory,
    find,
    find_by_path,
    is_same_drive,
    names_of,
    resolve,
    unidentified_because,
    unmatched,
)

__all__ = [
    "Drive",
    "DriveAbsent",
    "build_inventory",
    "find",
    "find_by_path",
    "is_same_drive",
    "names_of",
    "resolve",
    "unavailable_because",
    "unidentified_because",
    "unmatched",
]
