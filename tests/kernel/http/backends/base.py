"""The interface that lets the same tests run for each backend."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ...lab.agent import AgentGuest
from ...qemu.guest import QemuGuest
from ..site import Pool, Site


@dataclass(frozen=True)
class Shape:
    """A kind of pool: its level, number of drives and filesystem. What `more` adds differs from
    another one by a number, or is the core's: that is left to `make test-all`."""

    level: str
    drives: int
    filesystem: str = "ext4"
    more: bool = False

    def __str__(self) -> str:
        return f"{self.level}-{self.drives}-{self.filesystem}"


class Backend(ABC):
    """A backend as these tests drive it. Add one here and to `ALL`: the tests run for it too."""

    name: str
    shapes: tuple[Shape, ...]
    mirror: str
    """Level that keeps two copies on two drives."""
    single: str
    """Level of a pool of one drive."""
    member: str
    """What `wipefs` calls a member drive."""
    making: str = "mkfs.ext4"
    """How the command begins that writes a new pool's content."""
    flush: str = "sync -f {path}"
    """What makes everything in a mounted pool last through a power cut."""
    least: int = 0
    """Bytes of the smallest drive it takes."""
    guest: Mapping[str, Any] = {}
    """Options of the guest this backend needs."""
    holder: str = "In use: "
    """What refusals name of what `held` makes."""
    held_code: str = "POOL_BUSY"
    """Why a pool is not deleted while it is `held`."""
    sync_can_wait: bool = True
    """Whether `slow_sync` has any effect."""
    machine: type[AgentGuest] | type[QemuGuest] = AgentGuest
    """What it runs in."""

    def lacks(self) -> str:
        """Why it cannot be tested on this machine; empty when it can."""
        return ""

    @abstractmethod
    def leftovers(self, site: Site) -> str:
        """Remains of any pool that the backend's own tools find; empty if there are none."""

    @abstractmethod
    def fail(self, pool: Pool, serial: str) -> None:
        """Make the backend give up on a member, whose drive works again afterwards. The drive can
        have faults."""

    @contextmanager
    def held(self, pool: Pool) -> Iterator[None]:
        """The pool, unmounted, in use by somebody else: by a mapping over its block device."""
        site, device = pool.site, pool.detail()["poolId"]
        site.output(f"umount {pool.path}")
        site.output(f"dmsetup create holder --table '0 1000 linear /dev/{device} 0'")
        yield
        site.output("dmsetup remove holder && udevadm settle")

    def notice(self, pool: Pool) -> None:  # noqa: B027 most need nothing
        """Make the backend notice a pulled drive, by hand if it does not do so itself."""

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

    def alone(self) -> dict[str, Any]:
        """The fields of a request for a pool of one drive."""
        return {"backend": self.name, "level": self.single}
