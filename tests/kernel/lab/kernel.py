"""The guest kernel's command line and the modules it is given."""

import functools
from pathlib import Path
from typing import Any

from .drives import Drive
from .requirements import KERNEL
from .systems import System

CONSOLE, OUTPUT = "console.log", "vm.log"
"""Files of the state directory: the guest kernel's console, and what linux.uml itself says."""

POOLS = (
    *("md-mod", "raid0", "raid1", "raid10", "raid456"),
    *("dm-mod", "dm-raid", "dm-flakey", "dm-delay", "loop"),
)
"""Always loaded. ext4 is built in; for xfs and btrfs the kernel asks modprobe when mounting."""
OPTIONAL = ("linear",)
"""Loaded if the kernel has it: Linux 6.8 removed md's linear, 6.14 brought it back."""
_MODULES = Path("/usr/lib/uml/modules")
SCSI = ("target_core_mod", "target_core_file", "target_core_iblock", "tcm_loop", "sd_mod")

RULES = """\
# A drive's serial as udev property and as the end of a /dev/disk/by-id link.
SUBSYSTEM!="block", GOTO="lab_end"
KERNEL=="ubd*", ENV{DEVTYPE}=="disk", ATTR{serial}=="?*", ENV{ID_SERIAL}="$attr{serial}", \
ENV{ID_SERIAL_SHORT}="$attr{serial}", SYMLINK+="disk/by-id/ubd-$attr{serial}"
KERNEL=="sd*", ENV{DEVTYPE}=="disk", ATTRS{vendor}=="LAB*", \
IMPORT{program}="/lib/udev/scsi_id --export --whitelisted -d $devnode", \
ENV{ID_BUS}="scsi", SYMLINK+="disk/by-id/scsi-0LAB_LAB_DISK_$env{ID_SCSI_SERIAL}"
# What lies below a drive with faults is the lab's: no probing, no assembly.
KERNEL=="dm-*", ATTR{dm/name}=="lab-*", OPTIONS+="nowatch", ENV{SYSTEMD_READY}="0", \
ENV{DM_UDEV_DISABLE_DISK_RULES_FLAG}="1", ENV{DM_UDEV_DISABLE_OTHER_RULES_FLAG}="1"
LABEL="lab_end"
"""


def command_line(console: int, drives: list[Drive], memory: str, raid6: bool) -> list[str]:
    """Program and arguments; `console` is an inherited descriptor.

    `raid6` benchmarks the RAID6 algorithms at boot (0.9 s); without it RAID6 panics the guest.
    """
    arguments = [
        str(KERNEL),
        *(f"mem={memory}", "rootfstype=hostfs", "rootflags=/", "ro", "init=/srv/lab/init"),
        *("noreboot", "panic=-1", "quiet", "selinux=0", "uml_dir=/dev/shm", "umid=lab"),
        *("con=null", f"con0=null,fd:{console}", "ssl=null"),
        "vec0:transport=tap,ifname=tap0,depth=64,gro=1",
    ]
    if not raid6:
        arguments.append("initcall_blacklist=raid6_select_algo")
    plain = [drive for drive in drives if drive.bus == "ubd"]
    arguments += [
        f"ubd{number}=/srv/lab/drives/{drive.image},,{drive.serial}"
        for number, drive in enumerate(plain)
    ]
    return arguments


def modules(drives: list[Drive], system: System) -> dict[str, Any]:
    """Modules for the guest's first process: paths in order, the overlay module, the directory."""
    names = [*POOLS, *(name for name in OPTIONAL if _normal(name) in _index(system))]
    if any(drive.bus == "scsi" for drive in drives):
        names += SCSI
    paths = (str(path) for name in names for path in _with_dependencies(name, system))
    return {
        "modules": list(dict.fromkeys(paths)),
        "overlay_module": str(_with_dependencies("overlay", system)[-1]),
        "modules_directory": str(_directory(system)),
    }


def _directory(system: System) -> Path:
    """Modules of the system's linux.uml (the package ships one version), as the guest sees them."""
    return _MODULES / max((system.root / _MODULES.relative_to("/")).iterdir()).name


@functools.cache
def _index(system: System) -> dict[str, tuple[str, list[str]]]:
    index = {}
    listed = system.root / _directory(system).relative_to("/") / "modules.dep"
    for line in listed.read_text().splitlines():
        path, _, needs = line.partition(":")
        index[_normal(Path(path).stem)] = (path, needs.split())
    return index


def _with_dependencies(name: str, system: System) -> list[Path]:
    path, needs = _index(system)[_normal(name)]
    return [_directory(system) / each for each in (*reversed(needs), path)]


def _normal(name: str) -> str:
    return name.replace("-", "_")
