"""Drives that an LVM pool does not take: by their size, by their sectors, or while it rebuilds."""

import re

import pytest

from ..lab.drives import Drive, numbered
from .backends import LVM, Backend
from .dropping import add, refused_addition
from .site import Pool, Site

BACKENDS = [LVM]
_EXTENT = 4 << 20
_SIZE = 65 << 20
DRIVES = [
    *numbered(4, _SIZE),
    Drive("smaller", _SIZE - _EXTENT),
    Drive("coarser", _SIZE, sector=4096),
]
ONE, TWO, THREE, FOUR = (drive.serial for drive in DRIVES[:4])


def _untouched(pool: Pool, before: dict[str, str], serial: str) -> None:
    """The drive is as blank as it was, and the pool knows nothing of it."""
    pool.site.check_clean([serial])
    assert pool.members() == before


def test_a_drive_that_does_not_fit(site: Site, backend: Backend) -> None:
    """Refused before the first change, with both numbers."""
    pool = site.made(ONE, TWO, **backend.options())
    pool.until_health("active")
    written = pool.write()
    site.unplug(TWO)
    pool.until_health("degraded")
    before = pool.members()
    told = refused_addition(pool, "smaller", replaces=TWO)
    (has, needs) = map(int, re.findall(r"(?:has|needs) (\d+)", told))
    assert has == _SIZE - _EXTENT < needs <= _SIZE and "too small" in told
    _untouched(pool, before, "smaller")
    told = refused_addition(pool, "coarser", replaces=TWO)
    assert "4096" in told and "512" in told
    _untouched(pool, before, "coarser")
    assert pool.read() == written
    add(pool, serial=THREE, replaces=TWO)
    pool.until_health("active")
    site.plug(TWO)
    site.wipe_leftover(TWO, **backend.alone())
    pool.delete()
    pool.check_gone()


@pytest.mark.thorough
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
