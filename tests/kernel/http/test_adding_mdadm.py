"""md arrays that members dropped out of: taken back one by one, or not at all."""

from ..lab.drives import numbered
from .backends import MDADM, Backend
from .dropping import add, check_no_drive_is_taken, lose_and_return
from .site import Site

BACKENDS = [MDADM]
DRIVES = numbered(6, 96 << 20)
ONE, TWO, THREE, FOUR, FIVE, SIX = (drive.serial for drive in DRIVES)
GUEST = {"raid6": True}


def test_both_halves_of_a_pair_dropped_and_returned(site: Site, backend: Backend) -> None:
    """md itself would take them as new drives."""
    pool = site.made(ONE, TWO, THREE, FOUR, backend=backend.name, level="raid10")
    pool.until_health("active")
    written = pool.write()
    lose_and_return(pool, ONE, TWO)
    check_no_drive_is_taken(pool, FIVE, ONE, TWO)
    pool.unmount()
    assert written == _forced(site, ONE, TWO, THREE, FOUR)
    pool.delete()
    pool.check_gone()


def test_raid6_takes_two_back_as_they_are(site: Site, backend: Backend) -> None:
    """Only what was written meanwhile is copied. Linux 6.12 refuses the second one once the first
    is back, and nothing is erased before that."""
    pool = site.made(ONE, TWO, THREE, FOUR, FIVE, backend=backend.name, level="raid6")
    pool.until_health("active")
    lose_and_return(pool, ONE, TWO)
    pool.until_health("degraded")
    written = pool.write()
    for serial in (ONE, TWO):
        add(pool, serial=serial)
        asked, wiped, _ = "\n".join(pool.outputs()).partition("wipefs")
        assert "--re-add" in asked and "--add" not in asked.split()
        assert not wiped or (serial == TWO and "is not possible" in asked)
        pool.until_health("active", "degraded")
        pool.until_member(serial, "active")
    pool.until_health("active")
    assert pool.read() == written
    pool.delete()
    pool.check_gone()


def test_raid6_that_lost_three_takes_none(site: Site, backend: Backend) -> None:
    pool = site.made(ONE, TWO, THREE, FOUR, FIVE, backend=backend.name, level="raid6")
    pool.until_health("active")
    written = pool.write()
    site.output(f"sync -f {pool.path}")
    lose_and_return(pool, ONE, TWO, THREE)
    check_no_drive_is_taken(pool, SIX, ONE, TWO, THREE)
    pool.unmount()
    site.refused("POST", f"{pool.url}/mount", status=409, code="CONFLICT")
    label = pool.detail()["label"]
    site.done("POST", f"{pool.url}/mount", {"force": True, "label": label})
    assert pool.read() == written
    pool.unmount()
    pool.delete()
    pool.check_gone()


def test_a_frozen_array_takes_no_drive(site: Site, backend: Backend) -> None:
    """md makes a spare of it and leaves it that: the drive is taken out again, and blank."""
    pool = site.made(ONE, TWO, **backend.options())
    pool.until_health("active")
    written = pool.write()
    backend.fail(pool, TWO)
    pool.until_health("degraded")
    action = f"/sys/block/{pool.detail()['poolId']}/md/sync_action"
    site.output(f"echo frozen > {action}")
    body = {"serial": THREE, "replaces": TWO}
    told = site.refused("POST", f"{pool.url}/drives/add", body, status=400, code="SYSTEM_ERROR")
    assert THREE in str(told) and "spare" in str(told), told
    site.check_clean([THREE])
    assert THREE not in pool.members() and pool.read() == written
    site.output(f"echo idle > {action}")
    add(pool, **body)
    pool.until_health("active")
    assert pool.read() == written
    site.wipe_leftover(TWO, **backend.alone())
    pool.delete()
    pool.check_gone()


def _forced(site: Site, *serials: str) -> str:
    """mdadm's report after assembling, by force, members to which nothing was written."""
    nodes = " ".join(map(site.node, serials))
    read = "mount -o ro /dev/md9 /srv && sha256sum < /srv/data; umount /srv"
    assembled = f"mdadm --assemble --force --run /dev/md9 {nodes} >&2"
    return site.output(f"{assembled}; {read}; mdadm --stop /dev/md9 >&2; udevadm settle")
