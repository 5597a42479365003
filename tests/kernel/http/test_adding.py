"""A pool that has failed takes no drive: what it lost is on the drives that returned."""

from ..lab.drives import numbered
from .backends import LVM, MDADM, Backend
from .dropping import check_no_drive_is_taken, lose_and_return
from .site import Site

# zfs-fuse takes no note of drives that are back before it writes to them.
BACKENDS = [MDADM, LVM]
DRIVES = numbered(3, 96 << 20)
ONE, TWO, THREE = (drive.serial for drive in DRIVES)


def test_a_mirror_whose_hub_lost_power(site: Site, backend: Backend) -> None:
    pool = site.made(ONE, TWO, **backend.options())
    pool.until_health("active")
    written = pool.write()
    lose_and_return(pool, ONE, TWO)
    check_no_drive_is_taken(pool, THREE, ONE, TWO)
    pool.unmount()
    pool.mount()
    assert pool.read() == written
    pool.delete()
    pool.check_gone()
