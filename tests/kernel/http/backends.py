"""What the tests must know of a backend to run the same way for each."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .site import Pool, Site


@dataclass(frozen=True)
class Shape:
    """A kind of pool: its level, number of drives and filesystem."""

    level: str
    drives: int
    filesystem: str = "ext4"

    def __str__(self) -> str:
        return f"{self.level}-{self.drives}-{self.filesystem}"


class Backend(ABC):
    """A backend as these tests drive it. Add one here and to `ALL`: the tests run for it too."""

    name: str
    shapes: tuple[Shape, ...]
    mirror: str
    """Level that keeps two copies on two drives."""
    member: str
    """What `wipefs` calls a member drive."""
    guest: Mapping[str, Any] = {}
    """Options of the guest this backend needs."""

    @abstractmethod
    def leftovers(self, site: Site) -> str:
        """What the backend's own tools still see of any pool; empty for nothing."""

    @abstractmethod
    def fail(self, pool: Pool, serial: str) -> None:
        """Make the backend give up on a member."""

    @abstractmethod
    def slow_sync(self, site: Site) -> None:
        """Make rebuilding take so long that a test can look at it."""

    @abstractmethod
    def full_sync(self, site: Site) -> None:
        """Let rebuilding run at full speed."""

    def options(self, shape: Shape | None = None) -> dict[str, Any]:
        """The fields of a request that choose this backend (and this shape)."""
        level = shape.level if shape else self.mirror
        filesystem = {"filesystem": shape.filesystem} if shape else {}
        return {"backend": self.name, "level": level, **filesystem}


class Mdadm(Backend):
    """Linux software RAID."""

    name = "mdadm"
    mirror = "raid1"
    member = "linux_raid_member"
    shapes = (
        *(Shape("raid1", drives) for drives in (1, 2, 3)),
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
        _speed(site, 200, 100)

    def full_sync(self, site: Site) -> None:
        """The kernel's own limits."""
        _speed(site, 200000, 1000)


def _speed(site: Site, most: int, least: int) -> None:
    # The order keeps least below most at every moment, in both directions.
    site.output(
        f"cd /proc/sys/dev/raid; echo 1 > speed_limit_min; echo {most} > speed_limit_max;"
        f" echo {least} > speed_limit_min"
    )


MDADM = Mdadm()
ALL: tuple[Backend, ...] = (MDADM,)
