"""SCSI drives over image files, by the kernel's target core and its loopback fabric.

A drive is a LUN of one loopback target port. Its image is a file of hostfs opened by the target's
file backend with a write-back cache, so no second block device shows the same data, a flush reaches
the image, and what was not flushed is lost in a power cut. Linking the backend below the LUN plugs
the drive in, unlinking it pulls it out, whoever uses it.
"""

import glob
import hashlib
import os
import subprocess
import time
from typing import Any

from . import loops
from .machine import read, write

_TARGET = "/sys/kernel/config/target"
_PORT = f"{_TARGET}/loopback/naa.6001405000000010/tpgt_0"
_IMAGES = "/.lab/drives"
_SECTOR = 512
_PROBE_SECONDS = 10


class Shelf:
    """The drives of this guest, by name, plugged in or not."""

    def __init__(self) -> None:
        os.makedirs(_PORT)
        write(f"{_PORT}/nexus", "naa.6001405000000099")
        self._links: dict[str, tuple[str, str]] = {}
        self._below: dict[str, tuple[str, int]] = {}

    def add(self, drive: dict[str, Any]) -> None:
        """Describe a drive (`drives.Drive.to_json`) to the target core and plug it in."""
        number, name = len(self._links), drive["name"]
        backend = self._faulty(number, drive) if drive["faults"] else _plain(number, drive)
        _identify(backend, drive)
        write(f"{backend}/enable", "1")
        if drive["sector"] != _SECTOR:
            write(f"{backend}/attrib/block_size", str(drive["sector"]))
        lun = f"{_PORT}/lun/lun_{number}"
        os.makedirs(lun)
        self._links[name] = (backend, f"{lun}/drive")
        self.plug(name)

    def plug(self, name: str) -> None:
        """The drive appears, unless it is there; returns when it has a device node."""
        backend, link = self._find(name)
        if not os.path.lexists(link):
            os.symlink(backend, link)
        number = list(self._links).index(name)
        deadline = time.monotonic() + _PROBE_SECONDS
        while not glob.glob(f"/sys/class/scsi_device/*:{number}/device/block/*"):
            if time.monotonic() > deadline:
                raise OSError(f"The kernel did not find drive {name} in {_PROBE_SECONDS} s.")
            time.sleep(0.01)

    def unplug(self, name: str) -> None:
        """The drive disappears, also from under its users; nothing happens when it is gone."""
        _, link = self._find(name)
        if os.path.lexists(link):
            os.unlink(link)

    def fault(self, name: str, kind: str) -> None:
        """Swap what lies below a drive made with `faults` (kinds: `drives.Fault`)."""
        self._find(name)
        if name not in self._below:
            raise ValueError(f"Drive {name} was not made with faults=True.")
        device, sectors = self._below[name]
        mapped = f"lab-{list(self._links).index(name)}"
        # --noflush: a drive that fails I/O would never finish flushing.
        _dmsetup("suspend", "--noflush", "--nolockfs", mapped)
        _dmsetup("load", mapped, "--table", _table(kind, device, sectors))
        _dmsetup("resume", "--noudevsync", mapped)

    def _find(self, name: str) -> tuple[str, str]:
        if name not in self._links:
            raise ValueError(f"There is no drive {name}; there are {', '.join(self._links)}.")
        return self._links[name]

    def _faulty(self, number: int, drive: dict[str, Any]) -> str:
        device = loops.attach(f"{_IMAGES}/{drive['image']}")
        sectors = drive["size"] // _SECTOR
        self._below[drive["name"]] = (device, sectors)
        mapped = f"lab-{number}"
        _dmsetup("create", "--noudevsync", mapped, "--table", _table("none", device, sectors))
        backend = f"{_TARGET}/core/iblock_0/drive{number}"
        os.makedirs(backend)
        write(f"{backend}/control", f"udev_path={_mapped_node(mapped)}")
        return backend


def _plain(number: int, drive: dict[str, Any]) -> str:
    backend = f"{_TARGET}/core/fileio_0/drive{number}"
    os.makedirs(backend)
    image = f"{_IMAGES}/{drive['image']}"
    options = f"fd_dev_name={image},fd_dev_size={drive['size']},fd_buffered_io=1"
    write(f"{backend}/control", options)
    return backend


def _identify(backend: str, drive: dict[str, Any]) -> None:
    write(f"{backend}/wwn/vendor_id", "LAB")
    write(f"{backend}/wwn/product_id", "LAB DISK")
    write(f"{backend}/wwn/vpd_unit_serial", drive["serial"])
    # The kernel makes the WWN of this and of the serial's hexadecimal digits, cut at 25 and filled
    # with zeros: without it drive-scsi1 and drive-scsi10 would share one.
    digest = hashlib.sha256(drive["name"].encode()).hexdigest()
    write(f"{backend}/wwn/company_id", f"0x{digest[:6]}")


def _table(kind: str, device: str, sectors: int) -> str:
    tables = {
        "none": f"linear {device} 0",
        "error": "error",
        "flakey": f"flakey {device} 0 1 1",
        "write-error": f"flakey {device} 0 0 3600 1 error_writes",
        "drop-writes": f"flakey {device} 0 0 3600 1 drop_writes",
        "slow": f"delay {device} 0 200",
    }
    if kind not in tables:
        raise ValueError(f"There is no fault {kind}; there are {', '.join(tables)}.")
    return f"0 {sectors} {tables[kind]}"


def _mapped_node(name: str) -> str:
    """The kernel's own node: /dev/mapper is udev's work, and udev does not run yet."""
    names = (entry for entry in os.listdir("/sys/block") if entry.startswith("dm-"))
    return next(
        f"/dev/{node}" for node in names if read(f"/sys/block/{node}/dm/name") == f"{name}\n"
    )


def _dmsetup(*arguments: str) -> None:
    done = subprocess.run(["dmsetup", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"dmsetup {' '.join(arguments)}: {done.stderr.strip()}")
