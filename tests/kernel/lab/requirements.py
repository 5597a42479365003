"""What this machine needs before it can run a guest."""

import os
import shutil
from pathlib import Path

from . import xstate
from .errors import LabUnavailable

KERNEL = Path("/usr/bin/linux.uml")
MODULES = Path("/usr/lib/uml/modules")

PACKAGES = {
    "/usr/bin/linux.uml": "user-mode-linux",
    "mdadm": "mdadm",
    "lvm": "lvm2",
    "dmsetup": "dmsetup",
    "mkfs.xfs": "xfsprogs",
    "mkfs.btrfs": "btrfs-progs",
    "mkfs.ext4": "e2fsprogs",
    "udevadm": "udev",
    "modprobe": "kmod",
    "ip": "iproute2",
    "setpriv": "util-linux",
}
"""A program that must be there, and the Debian package that brings it."""


def missing_packages() -> list[str]:
    """Debian packages whose programs are not on this machine."""
    path = "/usr/sbin:/sbin:" + os.environ.get("PATH", os.defpath)
    missing = [name for tool, name in PACKAGES.items() if not shutil.which(tool, path=path)]
    if KERNEL.exists() and xstate.host_size() > xstate.KNOWN_TO_UML and not shutil.which("gcc"):
        missing.append("gcc")
    return missing


def check() -> None:
    """Raise LabUnavailable, in one sentence, when guests cannot run here."""
    if os.geteuid() != 0:
        raise LabUnavailable("The lab needs root (it confines guests with namespaces): use sudo.")
    if missing := missing_packages():
        raise LabUnavailable(
            f"The lab needs Debian packages: apt-get install -y {' '.join(missing)}."
        )
    if not Path("/dev/net/tun").exists():
        raise LabUnavailable("The lab needs /dev/net/tun: modprobe tun.")
