"""Drives at rest: nothing reads them while nothing happens, so that they can sleep."""

import time

from ..availability import thorough
from ..lab.drives import numbered
from .backends import Backend
from .site import Pool, Site

RESCAN_SECONDS = 15
DRIVES = numbered(7, 64 << 20)
SERIALS = [drive.serial for drive in DRIVES]
GUEST = {"env": {"BACKY_DRIVES_RESCAN_S": str(RESCAN_SECONDS)}}
SECONDS = 600 if thorough() else 2 * RESCAN_SECONDS + 5
"""Every interval passes twice; the longest ones are `RESCAN_SECONDS` and ZFS's `refresh_s`."""
POLL_SECONDS = 1.5
QUIET_SECONDS, SETTLE_SECONDS = 20, 120
"""The first is longer than those too: what ZFS polls has changed since the pools were made, and it
inspects once more."""
_STAT = "cd /sys/class/block; for name in {names}; do echo $name $(cat $name/stat); done"


def reads(site: Site) -> dict[str, tuple[int, int]]:
    """Read requests completed and sectors read since boot, by serial."""
    names = {site.node(serial).rpartition("/")[2]: serial for serial in SERIALS}
    lines = site.output(_STAT.format(names=" ".join(names))).splitlines()
    counted = (line.split() for line in lines)
    return {names[words[0]]: (int(words[1]), int(words[3])) for words in counted}


def settled(site: Site, pools: list[Pool]) -> dict[str, tuple[int, int]]:
    """The reads once udev and the filesystems have come to rest."""
    for pool in pools:
        pool.until_health("active", "inactive")
    deadline = time.monotonic() + SETTLE_SECONDS
    now = reads(site)
    while time.monotonic() < deadline:
        time.sleep(QUIET_SECONDS)
        before, now = now, reads(site)
        if now == before:
            break
    return now


def test_nothing_is_read(site: Site, backend: Backend) -> None:
    """A mounted mirror, a mounted pool without redundancy, a mirror on the shelf, a blank drive."""
    plain = next(s for s in backend.shapes if s.level in ("raid0", "linear", "single"))
    pools = [
        site.made(*SERIALS[:2], **backend.options()),
        site.made(*SERIALS[2 : 2 + plain.drives], **backend.options(plain)),
        site.made(*SERIALS[4:6], **backend.options()),
    ]
    pools[2].unmount()
    before = settled(site, pools)
    if plain.filesystem != "zfs":
        site.output("mount -t tmpfs none /srv && umount /srv")
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        site.get("/pools")
        site.get("/drives")
        for pool in pools:
            pool.detail()
        time.sleep(POLL_SECONDS)
    assert reads(site) == before
    assert [pool.state() for pool in pools] == ["ready", "ready", "unmounted"]
