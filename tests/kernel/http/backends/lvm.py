"""LVM as the tests drive it."""

import time
from collections.abc import Mapping
from typing import Any

from ..site import LOOK_SECONDS, Pool, Site
from .base import Backend, Shape
from .mdadm import speed


class Lvm(Backend):
    """A volume group with one logical volume; its RAID levels are md's, run by device-mapper."""

    name = "lvm"
    mirror = "raid1"
    single = "linear"
    member = "LVM2_member"
    shapes = (
        *(Shape("linear", 1), Shape("linear", 2, more=True), Shape("raid0", 2, more=True)),
        *(Shape("raid1", 2), Shape("raid5", 3)),
        *(Shape("raid6", 5, more=True), Shape("raid10", 4, more=True)),
        *(Shape("raid1", 2, filesystem, more=True) for filesystem in ("xfs", "btrfs")),
    )
    guest: Mapping[str, Any] = {"raid6": True}

    def leftovers(self, site: Site) -> str:
        """Mappings of volume groups; the lab's own drives lie on some of others."""
        return site.run("dmsetup ls | grep ^backy--").out

    def fail(self, pool: Pool, serial: str) -> None:
        """LVM has no command for it, so writes to the drive fail, until the kernel gives it up."""
        site = pool.site
        site.guest.fault(serial, "write-error")
        deadline = time.monotonic() + 20
        while "D" not in self._letters(pool):
            assert time.monotonic() < deadline, self._letters(pool)
            site.run(f"touch {pool.path} && sync -f {pool.path}")
            time.sleep(LOOK_SECONDS)
        site.guest.fault(serial, "none")

    def slow_sync(self, site: Site) -> None:
        """The limits of md govern device-mapper's RAID too."""
        speed(site, 200, 100)

    def full_sync(self, site: Site) -> None:
        """The kernel's own limits."""
        speed(site, 200000, 1000)

    def _letters(self, pool: Pool) -> str:
        """The kernel's word on each member: alive, in sync, dead."""
        status = pool.site.output(f"dmsetup status /dev/{pool.detail()['poolId']}")
        return status.split()[5]


LVM = Lvm()
