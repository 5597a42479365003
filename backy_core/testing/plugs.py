"""Pulling drives out and putting them back, from inside the machine.

Disks of the kernel's loopback target are pulled by unlinking the LUN, for its host finds only
LUN 0 when it looks again. Any other SCSI drive is deleted and found by a new look of its host.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from backy_core.testing import machine

_LOOPBACK = Path("/sys/kernel/config/target/loopback")

_pulled: dict[str, tuple[Path, str]] = {}
"""Links of loopback disks that are out, with where they led, by serial."""


def unplug(serial: str) -> None:
    """Pull a drive, whoever uses it; returns when the kernel has dropped it."""
    name = machine.names()[serial]
    link = _link_of(name)
    if link is not None:
        _pulled[serial] = (link, os.path.realpath(link))
        link.unlink()
    else:
        device = Path(f"/sys/block/{name}/device")
        assert (device / "scsi_level").exists(), f"{name} is not a SCSI drive: it cannot be pulled"
        (device / "delete").write_text("1")
    machine.await_that(lambda: serial not in machine.names(), f"drive {serial} goes")
    machine.settle()


def plug(serials: Iterable[str]) -> None:
    """Put pulled drives back, in this order; returns when udev has seen them."""
    missing = [serial for serial in serials if serial not in machine.names()]
    for serial in missing:
        _put_back(serial)
        machine.await_that(lambda s=serial: s in machine.names(), f"drive {serial} is back")  # type: ignore[misc]
    if missing:
        machine.settle()


def _put_back(serial: str) -> None:
    if serial in _pulled:
        link, target = _pulled.pop(serial)
        link.symlink_to(target)
        return
    for scan in sorted(Path("/sys/class/scsi_host").glob("host*/scan")):
        scan.write_text("- - -")


def _link_of(name: str) -> Path | None:
    """The link in configfs that plugs the disk in; None if it is none of the loopback target."""
    address = os.path.realpath(f"/sys/block/{name}/device")
    if "tcm_loop" not in address:
        return None
    lun = address.rpartition(":")[2]
    links = [link for link in _LOOPBACK.glob(f"*/tpgt_*/lun/lun_{lun}/*") if link.is_symlink()]
    return links[0] if links else None
