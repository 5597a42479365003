"""Members of a ZFS pool: dropped, returned, too small, and what is refused meanwhile."""

from typing import Any

import pytest

from ..lab.drives import Drive, numbered
from .backends import ZFS, Backend
from .site import Pool, Site

BACKENDS = [ZFS]
SIZE = 160 << 20
LESS, ENOUGH = Drive("drive-less", 637 << 18), Drive("drive-enough", 638 << 18)
"""What a mirror of two drives of SIZE takes no more, and the least that it takes: sizes count in
steps of 256 KiB, and its last metaslab is not whole. A raidz1 of three takes the smaller one."""
DRIVES = [*numbered(4, SIZE, faults=True), LESS, ENOUGH]
ONE, TWO, THREE, FOUR = (drive.serial for drive in DRIVES[:4])


def refused(pool: Pool, **body: Any) -> str:
    """The refusal's words. No signature of any drive is touched by it, no member changes."""
    site, members = pool.site, pool.members()
    before = site.look()
    path = f"{pool.url}/drives/add"
    error = site.refused("POST", path, body, status=409, code="CONFLICT")["error"]
    after = site.look()
    assert after.drives == before.drives and set(pool.members()) == set(members)
    for key in ("driveSerials", "leaving"):
        assert after.metadata[pool.guid].get(key) == before.metadata[pool.guid].get(key)
    return f"{error['message']}: {error.get('details')}"


def label_guid(site: Site, serial: str) -> str:
    """The member's own guid, which a member that is wiped and made anew does not keep."""
    return site.output(f"zdb -l {site.node(serial)} | grep -m1 '^    guid:'")


@pytest.mark.thorough
def test_a_raidz_member_that_dropped_out_is_taken_back_unwiped(
    site: Site, backend: Backend
) -> None:
    pool = site.made(ONE, TWO, THREE, backend=backend.name, level="raidz1")
    pool.write()
    known = label_guid(site, TWO)
    site.unplug(TWO)
    pool.until_health("degraded")
    backend.notice(pool)
    written = pool.write(4096)
    site.plug(TWO)
    assert pool.members()[TWO] in ("stale", "missing", "failed")
    site.done("POST", f"{pool.url}/drives/add", {"serial": TWO})
    pool.until_health("active")
    assert pool.members() == dict.fromkeys((ONE, TWO, THREE), "active")
    assert label_guid(site, TWO) == known
    # What it missed was copied to it: the pool lives without another one.
    site.unplug(ONE)
    pool.until_health("degraded")
    backend.notice(pool)
    assert pool.read() == written
    site.plug(ONE)
    site.done("POST", f"{pool.url}/drives/add", {"serial": ONE})
    pool.until_health("active")
    pool.delete()
    pool.check_gone()


def test_a_mirror_that_lost_both_drives_takes_none(site: Site, backend: Backend) -> None:
    pool = site.made(ONE, TWO, **backend.options())
    written = pool.write()
    site.unplug(ONE)
    pool.until_health("degraded")
    backend.notice(pool)
    site.unplug(TWO)
    name = f"backy-{pool.guid}"
    site.run(f"timeout 5 zfs set org.backy:lost=yes {name}")  # which waits for the drives
    pool.until_health("failed")
    site.plug(ONE, TWO)
    for body in ({}, {"wipe": True}):
        assert "has failed" in refused(pool, serial=ONE, **body)
        assert "has failed" in refused(pool, serial=THREE, replaces=ONE, **body)
    site.guest.cut()  # nothing else ends what waits for it
    site.boot()
    pool.until("ready")
    assert pool.read() == written
    pool.delete()
    pool.check_gone()


@pytest.mark.thorough
def test_no_healthy_member_is_let_go_while_another_one_rebuilds(
    site: Site, backend: Backend
) -> None:
    pool = site.made(ONE, TWO, **backend.options())
    written = pool.write(64 << 10)
    site.guest.fault(THREE, "slow")
    site.done("POST", f"{pool.url}/drives/add", {"serial": THREE, "replaces": TWO})
    assert pool.detail()["poolStatus"] == "recovering"
    assert ONE in refused(pool, serial=FOUR, replaces=ONE)
    site.guest.fault(THREE, "none")
    pool.until_health("active")
    assert pool.members() == dict.fromkeys((ONE, THREE), "active") and pool.read() == written
    site.wipe_leftover(TWO, **backend.alone())
    pool.delete()
    pool.check_gone()


def test_a_drive_that_is_too_small_is_refused_untouched(site: Site, backend: Backend) -> None:
    """By the number that ZFS itself goes by: a drive of just that size is taken."""
    pool = site.made(ONE, TWO, **backend.options())
    written = pool.write()
    pool.unmount()  # until then zfs-fuse goes by the size at the creation
    pool.mount()
    told = refused(pool, serial=LESS.serial, replaces=TWO)
    assert f"{LESS.size} bytes" in told and f"needs {ENOUGH.size}" in told
    pool.check_ready()
    assert pool.read() == written
    site.done("POST", f"{pool.url}/drives/add", {"serial": ENOUGH.serial, "replaces": TWO})
    pool.until_health("active")
    assert pool.read() == written
    site.wipe_leftover(TWO, **backend.alone())
    pool.delete()
    site.check_clean([ONE, TWO, LESS.serial, ENOUGH.serial])


@pytest.mark.thorough
def test_the_least_drive_that_a_raidz_takes(site: Site, backend: Backend) -> None:
    pool = site.made(ONE, TWO, THREE, backend=backend.name, level="raidz1")
    written = pool.write()
    pool.unmount()
    pool.mount()
    site.done("POST", f"{pool.url}/drives/add", {"serial": LESS.serial, "replaces": TWO})
    pool.until_health("active")
    assert pool.read() == written
    site.wipe_leftover(TWO, **backend.alone())
    pool.delete()
    site.check_clean([ONE, TWO, THREE, LESS.serial])


def test_a_child_dataset_that_is_mounted_holds_the_pool(site: Site, backend: Backend) -> None:
    """ZFS itself would unmount it on the way, whoever made it."""
    pool = site.made(ONE, TWO, **backend.options())
    child = f"backy-{pool.guid}/child"
    site.output(f"zfs create -o mountpoint=/srv/child {child} && date > /srv/child/note")
    site.done("POST", "/drives/refresh")
    for path, query in ((f"{pool.url}/mount", ""), (pool.url, f"?destroyOthers={child}")):
        answer = site.refused("DELETE", path + query, status=409, code="POOL_BUSY")
        assert child in answer["error"]["details"] and "/srv/child" in answer["error"]["details"]
    told = site.refused("DELETE", pool.url, status=409, code="DRIVE_NOT_EMPTY")
    assert child in told["error"]["message"]
    pool.check_ready()
    site.output("test -s /srv/child/note && umount /srv/child")
    pool.unmount()
    pool.mount()
    site.run(f"umount /srv/child; zfs destroy {child} && rmdir /srv/child")
    pool.delete()
    pool.check_gone()
