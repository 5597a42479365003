"""ZFS as the tests drive it: zfs-fuse in the lab's guests."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ...zfs_fuse import FUSE, PROGRAMS
from ..site import Pool, Site
from .base import Backend, Shape


class Zfs(Backend):
    """ZFS as zfs-fuse has it, code of 2013."""

    name = "zfs"
    mirror = "mirror"
    single = "single"
    member = "zfs_member"
    making = "zpool create"
    least = 128 << 20
    """ZFS takes 64 MB; OpenZFS wants more for the partition table around it."""
    shapes = (
        *(Shape("single", 1, "zfs"), Shape("stripe", 2, "zfs", more=True)),
        *(Shape("mirror", 2, "zfs"), Shape("raidz1", 3, "zfs")),
        *(Shape(f"raidz{parity}", parity + 2, "zfs", more=True) for parity in (2, 3)),
    )
    # It loses even a file that fsync was called for, until its next transaction group is written,
    # which is what a changed property waits for.
    flush = "zfs set org.backy:flushed=yes $(findmnt -no SOURCE {path})"
    holder = "/held"
    held_code = "DRIVE_NOT_EMPTY"  # it has a filesystem of somebody else's
    sync_can_wait = False
    guest: Mapping[str, Any] = {"prepare": FUSE}

    def lacks(self) -> str:
        """zfs-fuse, which no package of the host's may bring."""
        return "" if PROGRAMS else "make install brings zfs-fuse"

    def leftovers(self, site: Site) -> str:
        """Imported zpools."""
        return site.run("zpool list -H -o name 2>/dev/null").out

    def fail(self, pool: Pool, serial: str) -> None:
        """The drive answers with errors until a scrub has looked at every drive."""
        guest = pool.site.guest
        guest.fault(serial, "error")
        self.notice(pool)
        guest.fault(serial, "none")

    @contextmanager
    def held(self, pool: Pool) -> Iterator[None]:
        """By somebody in a filesystem of its own within the zpool."""
        site, child = pool.site, f"backy-{pool.guid}/held"
        site.output(f"umount {pool.path} && zfs create -o mountpoint=/srv/held {child}")
        site.output("cd /srv/held && (setsid sleep 1000 >/dev/null 2>&1 & echo $! >/run/holder)")
        yield
        site.output("kill $(cat /run/holder)")
        site.output(f"until zfs destroy {child}; do sleep 0.5; done; rmdir /srv/held")

    def notice(self, pool: Pool) -> None:
        """zfs-fuse opens a drive anew when it is asked to scrub, and not for errors."""
        name = f"backy-{pool.guid}"
        pool.site.output(f"zpool scrub {name}")
        deadline = time.monotonic() + 30
        while "DEGRADED" not in pool.site.output(f"zpool list -H -o health {name}"):
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def slow_sync(self, site: Site) -> None:
        """It cannot be: it is over before anybody can look."""

    def full_sync(self, site: Site) -> None:
        """It always is."""


ZFS = Zfs()
