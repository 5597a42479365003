"""OpenZFS as the tests drive it: in QEMU, with Debian's kernel and the module built for it."""

import shutil
from collections.abc import Mapping
from typing import Any

from ...lab.systems import chosen
from ...qemu.guest import QemuGuest, built
from ..site import Pool, Site
from .base import Backend
from .zfs import Zfs

_HOLD = "/sys/module/zfs/parameters/zfs_scan_suspend_progress"


class OpenZfs(Zfs):
    """Nothing is helped along as with zfs-fuse: it notices by itself what becomes of a drive."""

    guest: Mapping[str, Any] = {"env": {"BACKY_INSPECT_DEADLINE_S": "150"}}
    machine = QemuGuest
    flush = Backend.flush
    sync_can_wait = True

    def lacks(self) -> str:
        """The emulator and the module."""
        there = shutil.which("qemu-system-x86_64") and (built(chosen()) / "ready").exists()
        return "" if there else "make test-openzfs brings QEMU and OpenZFS"

    def fail(self, pool: Pool, serial: str) -> None:
        """As its event daemon does it for a drive with errors."""
        member = f"/dev/disk/by-id/virtio-{serial}"  # it knows no other name
        pool.site.output(f"zpool offline -f backy-{pool.guid} {member}")

    def notice(self, pool: Pool) -> None:
        """By itself."""

    def slow_sync(self, site: Site) -> None:
        """It stands still."""
        site.output(f"echo 1 > {_HOLD}")

    def full_sync(self, site: Site) -> None:
        """It goes on."""
        site.output(f"echo 0 > {_HOLD}")


OPENZFS = OpenZfs()
