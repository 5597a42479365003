"""Data nobody asked to lose: what a deletion may never take with it."""

import time

from ..lab.drives import numbered
from .backends import Backend
from .site import Site

OF_THE_CORE = True
DRIVES = numbered(3, 64 << 20)
ONE, TWO, THREE = (drive.serial for drive in DRIVES)


def test_a_failed_deletion_does_not_go_on_by_itself(site: Site, backend: Backend) -> None:
    pool = site.made(ONE, TWO, **backend.options())
    written = pool.write()
    with backend.held(pool):
        for path, code in ((f"{pool.url}/mount", "POOL_BUSY"), (pool.url, backend.held_code)):
            answer = site.refused("DELETE", path, status=409, code=code)
            assert backend.holder in str(answer["error"]), answer
    pool.mount()
    assert pool.read() == written
    site.guest.unplug(THREE)
    time.sleep(2)
    site.guest.plug(THREE)
    site.restart()
    pool.until("ready")
    assert pool.read() == written and not site.journal()
    pool.delete()


def test_a_pool_under_another_mount_is_not_ready(site: Site, backend: Backend) -> None:
    pool = site.made(ONE, TWO, **backend.options())
    site.output(f"mount -t tmpfs none {pool.path}")
    site.done("POST", "/drives/refresh")
    detail = pool.detail()
    assert detail["state"] == "error" and "covers it" in detail["errorMessage"]
    answer = site.refused("DELETE", f"{pool.url}/mount", status=409, code="POOL_BUSY")
    assert "mounted over it" in answer["error"]["details"]
    site.output(f"umount {pool.path}")
    site.done("POST", "/drives/refresh")
    assert pool.detail()["state"] == "ready"
    pool.delete()


def test_replaced_member_used_apart(site: Site, backend: Backend) -> None:
    """It never speaks for the pool that went on without it, whichever has counted further."""
    pool = site.made(ONE, TWO, **backend.options())
    pool.until_health("active")
    pool.unmount()
    site.guest.unplug(TWO)
    pool.mount()
    site.done("POST", f"{pool.url}/drives/add", {"serial": THREE, "replaces": TWO})
    pool.until_health("active")
    kept = pool.write()
    pool.unmount()
    site.unplug(ONE, THREE)
    site.plug(TWO)
    for _ in range(3):
        pool.mount()
        pool.write()
        pool.unmount()

    site.plug(ONE, THREE)
    path = f"{pool.url}/mount"
    if site.call("POST", path, {"mountPath": None}).status_code == 409:
        assert not pool.mounted()
        site.unplug(TWO)
        pool.unmount()  # udev may have started it from that drive
        pool.mount()
        site.plug(TWO)
    assert pool.read() == kept
    # udev may have begun to assemble one of the two before the other was there.
    members = pool.members()
    assert "active" in (members[ONE], members[THREE]) and members.get(TWO) != "active"
    site.done("DELETE", f"{pool.url}?wipeCopies={TWO}")
    pool.check_gone()
    site.check_clean([THREE])
