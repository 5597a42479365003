"""Drives that an LVM pool does not take."""

from ..lab.drives import numbered
from .backends import LVM, Backend
from .dropping import add, refused_addition
from .site import Site

BACKENDS = [LVM]
DRIVES = numbered(4, 65 << 20)
ONE, TWO, THREE, FOUR = (drive.serial for drive in DRIVES)


def test_a_healthy_member_stays_while_another_is_rebuilt(site: Site, backend: Backend) -> None:
    pool = site.made(ONE, TWO, **backend.options())
    pool.until_health("active")
    written = pool.write()
    site.unplug(TWO)
    pool.until_health("degraded")
    backend.slow_sync(site)
    add(pool, serial=THREE, replaces=TWO)
    assert pool.until_health("recovering")
    entry = site.metadata()[pool.guid]["driveSerials"]
    assert f"relies on drive {ONE}" in refused_addition(pool, FOUR, replaces=ONE)
    assert site.metadata()[pool.guid]["driveSerials"] == entry
    assert pool.members()[ONE] == "active"
    site.check_clean([FOUR])
    backend.full_sync(site)
    pool.until_health("active")
    assert pool.members() == {ONE: "active", THREE: "active"} and pool.read() == written
    site.plug(TWO)
    site.wipe_leftover(TWO, **backend.alone())
    pool.delete()
    pool.check_gone()
