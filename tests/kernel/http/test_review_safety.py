"""Data nobody asked to lose: what a deletion may never take with it."""

import time

from ..lab.drives import numbered
from . import backends
from .site import Site

DRIVES = numbered(5, 64 << 20)
ONE, TWO, THREE, FOUR, FIVE = (drive.serial for drive in DRIVES)
BACKENDS = (backends.MDADM,)


def test_a_failed_deletion_does_not_go_on_by_itself(site: Site) -> None:
    pool = site.made(ONE, TWO)
    written = pool.write()
    device = pool.detail()["mdDeviceName"]
    site.output(f"umount {pool.path}")
    site.output(f'dmsetup create holder --table "0 1000 linear /dev/{device} 0"')
    site.refused("DELETE", pool.url, status=400, code="SYSTEM_ERROR")
    site.output("dmsetup remove holder")
    pool.mount()
    assert pool.read() == written
    site.guest.unplug(FIVE)
    time.sleep(2)
    site.guest.plug(FIVE)
    site.restart()
    pool.until("ready")
    assert pool.read() == written and not site.journal()
    pool.delete()


def test_the_systems_own_array_is_out_of_reach(site: Site) -> None:
    first, second = site.node(THREE), site.node(FOUR)
    site.output(
        "mdadm --create /dev/md/boot --run --metadata=1.2 --level=1 --raid-devices=2 "
        f"{first} {second} && mkfs.ext4 -q -F /dev/md/boot && mkdir -p /boot && "
        "mount /dev/md/boot /boot && udevadm settle"
    )
    site.done("POST", "/drives/refresh")
    assert site.get("/pools/importable") == []
    site.output(
        f"umount /boot && mdadm --stop /dev/md/boot && wipefs -qa {first} {second} && "
        "udevadm settle"
    )


def test_a_pool_under_another_mount_is_not_ready(site: Site) -> None:
    pool = site.made(ONE, TWO)
    site.output(f"mount -t tmpfs none {pool.path}")
    site.done("POST", "/drives/refresh")
    detail = pool.detail()
    assert detail["state"] == "error" and "mounted over it" in detail["errorMessage"]
    answer = site.refused("DELETE", f"{pool.url}/mount", status=409, code="POOL_BUSY")
    assert "mounted over it" in answer["error"]["details"]
    site.output(f"umount {pool.path}")
    site.done("POST", "/drives/refresh")
    assert pool.detail()["state"] == "ready"
    pool.delete()
