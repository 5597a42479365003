"""Drives of an LVM pool that dropped out one after the other: what LVM takes back, and what not."""

import pytest

from ..lab.drives import numbered
from .backends import LVM, Backend
from .site import Pool, Site

BACKENDS = [LVM]
DRIVES = numbered(4, 96 << 20)
ONE, TWO, THREE, FOUR = (drive.serial for drive in DRIVES)


def _dropped(pool: Pool, first: str, second: str) -> str:
    """One after the other, and back, the pool unmounted; answers the checksum of its data."""
    site = pool.site
    pool.until_health("active")
    written = pool.write()
    for serial in (first, second):
        site.guest.unplug(serial)
        site.run(f"date > {pool.path}/after-{serial}; sync -f {pool.path}")
    pool.until_health("failed")
    site.plug(first, second)
    pool.until_health("failed")
    pool.unmount()
    return written


def _refused(pool: Pool) -> None:
    mount, label = f"{pool.url}/mount", pool.detail()["label"]
    told = str(pool.site.refused("POST", mount, status=409, code="CONFLICT"))
    assert "by hand" in told and "README of backy-lvm" in told
    force = {"force": True, "label": label}
    told = str(pool.site.refused("POST", mount, force, status=400, code="VALIDATION_ERROR"))
    assert "force_open" in told


def test_a_raid10_is_refused(site: Site, backend: Backend) -> None:
    """LVM would activate it, and dm-raid go on from the half that left first."""
    pool = site.made(ONE, TWO, THREE, FOUR, backend=backend.name, level="raid10")
    _dropped(pool, ONE, TWO)
    seen = site.look()
    _refused(pool)
    assert site.look() == seen
    pool.delete()
    pool.check_gone()


def test_a_raid5_is_copied_out_by_hand(site: Site, backend: Backend) -> None:
    """The kernel has noted that two are gone, and no command of LVM's goes around that."""
    pool = site.made(ONE, TWO, THREE, backend=backend.name, level="raid5")
    written = _dropped(pool, ONE, TWO)
    seen = site.look()
    _refused(pool)
    assert site.look() == seen
    # As the README has it, without the drive that left first.
    group = f"backy-{pool.guid}"
    part = f"/dev/mapper/{group.replace('-', '--')}-pool_rimage_"
    table = f"raid raid5_ls 2 128 nosync 3 - - - {part}1 - {part}2"
    copied = site.output(
        f"for n in 1 2; do lvchange -y -ay {group}/pool_rimage_$n; done >&2;"
        f" size=$(( $(blockdev --getsz {part}1) * 2 ));"
        f' dmsetup create rescue --readonly --table "0 $size {table}" >&2 && udevadm settle &&'
        " mount -o ro,noload /dev/mapper/rescue /srv && sha256sum < /srv/data"
    )
    assert copied == written
    site.output(
        "umount /srv && dmsetup remove rescue && udevadm settle &&"
        f" for n in 1 2; do lvchange -an {group}/pool_rimage_$n; done"
    )
    pool.delete()
    pool.check_gone()


@pytest.mark.thorough
def test_without_copies_all_drives_are_the_way_back(site: Site, backend: Backend) -> None:
    """Also for those that dropped out, which nothing else can stand in for."""
    pool = site.made(ONE, TWO, backend=backend.name, level="raid0")
    mount = f"{pool.url}/mount"
    written = pool.write()
    site.output(f"sync -f {pool.path}")
    site.guest.unplug(ONE)
    pool.until_health("failed")
    site.plug(ONE)
    pool.unmount()
    pool.mount()
    assert pool.read() == written
    pool.unmount()

    site.unplug(ONE)
    told = str(site.refused("POST", mount, status=409, code="CONFLICT"))
    assert "keeps no copies" in told
    site.plug(ONE)
    pool.mount()
    assert pool.read() == written
    pool.delete()
    pool.check_gone()
