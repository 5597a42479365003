"""Requirements for running a guest on this machine."""

import os
import shutil
from pathlib import Path

from . import xstate
from .errors import LabUnavailable
from .systems import SUITES, System

KERNEL = Path("/usr/bin/linux.uml")

_OUTSIDE = {"ip": "iproute2", "setpriv": "util-linux", "mkfs.ext4": "e2fsprogs"}
_INSIDE = {
    str(KERNEL): "user-mode-linux",
    "mdadm": "mdadm",
    "lvm": "lvm2",
    "dmsetup": "dmsetup",
    "mkfs.xfs": "xfsprogs",
    "mkfs.btrfs": "btrfs-progs",
    "udevadm": "udev",
    "modprobe": "kmod",
}
"""A program that must be there, and the Debian package that brings it."""


def missing_packages(system: System) -> list[str]:
    """Debian packages whose programs are not on this machine; a suite brings its own."""
    path = "/usr/sbin:/sbin:" + os.environ.get("PATH", os.defpath)
    programs = _OUTSIDE if system.suite else {**_OUTSIDE, **_INSIDE}
    missing = [name for tool, name in programs.items() if not shutil.which(tool, path=path)]
    kernel = system.root / KERNEL.relative_to("/")
    if kernel.exists() and xstate.host_size() > xstate.KNOWN_TO_UML and not shutil.which("gcc"):
        missing.append("gcc")
    return missing


def check(system: System) -> None:
    """Raise LabUnavailable, in one sentence, when guests with this system cannot run here."""
    if os.geteuid() != 0:
        raise LabUnavailable("The lab needs root (it confines guests with namespaces): use sudo.")
    if system.suite and system.suite not in SUITES:
        raise LabUnavailable(f"The lab needs one of {', '.join(SUITES)}, not {system.suite!r}.")
    if system.suite and not system.stamp.exists():
        raise LabUnavailable(f"The lab needs the suite: make suites SUITES={system.suite}.")
    if missing := missing_packages(system):
        raise LabUnavailable(
            f"The lab needs Debian packages: apt-get install -y {' '.join(missing)}."
        )
    if not Path("/dev/net/tun").exists():
        raise LabUnavailable("The lab needs /dev/net/tun: modprobe tun.")
