"""mdadm as the tests drive it."""

from collections.abc import Mapping
from typing import Any

from ..site import Pool, Site
from .base import Backend, Shape


class Mdadm(Backend):
    """Linux software RAID."""

    name = "mdadm"
    mirror = single = "raid1"
    member = "linux_raid_member"
    shapes = (
        *(Shape("raid1", 1), Shape("raid1", 2), Shape("raid1", 3, more=True)),
        *(Shape("raid0", 2), Shape("raid5", 3), Shape("raid6", 4), Shape("raid10", 4)),
        *(Shape("raid1", 2, "xfs"), Shape("raid1", 2, "btrfs")),
    )
    guest: Mapping[str, Any] = {"raid6": True}

    def leftovers(self, site: Site) -> str:
        """Arrays of /proc/mdstat."""
        return site.run("grep '^md' /proc/mdstat").out

    def fail(self, pool: Pool, serial: str) -> None:
        """`mdadm --fail`."""
        device = pool.detail()["poolId"]
        pool.site.output(f"mdadm /dev/{device} --fail {pool.site.node(serial)}")

    def slow_sync(self, site: Site) -> None:
        """100 to 200 KB a second."""
        speed(site, 200, 100)

    def full_sync(self, site: Site) -> None:
        """The kernel's own limits."""
        speed(site, 200000, 1000)


def speed(site: Site, most: int, least: int) -> None:
    """Limits of rebuilding in KB a second."""
    # The order keeps least below most at every moment, in both directions.
    site.output(
        f"cd /proc/sys/dev/raid; echo 1 > speed_limit_min; echo {most} > speed_limit_max;"
        f" echo {least} > speed_limit_min"
    )


MDADM = Mdadm()
