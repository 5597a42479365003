"""A pool that has failed takes no drive: what it lost is on the drives that returned."""

from typing import Any

from ..lab.drives import numbered
from .backends import MDADM, Backend
from .site import Pool, Site

BACKENDS = [MDADM]
DRIVES = numbered(5, 96 << 20)
ONE, TWO, THREE, FOUR, FIVE = (drive.serial for drive in DRIVES)


def _path(pool: Pool) -> str:
    return f"{pool.url}/drives/add"


def _refused(pool: Pool, serial: str, **body: Any) -> str:
    """The refusal's words. No signature of any drive is touched by it."""
    site, wanted = pool.site, {"serial": serial, **body}
    before = site.look().drives
    error = site.refused("POST", _path(pool), wanted, status=409, code="CONFLICT")["error"]
    assert site.look().drives == before
    return f"{error['message']}: {error.get('details')}"


def _lost_and_back(pool: Pool, *serials: str) -> None:
    """Pulled one after the other under a pool that is written to, and put back."""
    for serial in serials:
        pool.site.guest.unplug(serial)
        pool.site.run(f"date > {pool.path}/noted; sync -f {pool.path}")
    pool.site.plug(*serials)
    pool.until_health("failed")


def _no_drive_is_taken(pool: Pool, spare: str, *returned: str) -> None:
    """Not the ones that are back, nor another, whatever the caller consents to."""
    for body in ({}, {"wipe": True}):
        for serial in returned:
            assert pool.members()[serial] not in ("diverged", "active")
            assert "has failed" in _refused(pool, serial, **body)
        assert pool.url in _refused(pool, spare, replaces=returned[0], **body)


def test_a_mirror_whose_hub_lost_power(site: Site, backend: Backend) -> None:
    pool = site.made(ONE, TWO, **backend.options())
    pool.until_health("active")
    written = pool.write()
    _lost_and_back(pool, ONE, TWO)
    _no_drive_is_taken(pool, THREE, ONE, TWO)
    pool.unmount()
    pool.mount()
    assert pool.read() == written
    pool.delete()
    pool.check_gone()


def test_both_halves_of_a_pair_dropped_and_returned(site: Site, backend: Backend) -> None:
    """md itself would take them as new drives."""
    pool = site.made(ONE, TWO, THREE, FOUR, backend=backend.name, level="raid10")
    pool.until_health("active")
    written = pool.write()
    _lost_and_back(pool, ONE, TWO)
    _no_drive_is_taken(pool, FIVE, ONE, TWO)
    pool.unmount()
    assert written == _forced(site, ONE, TWO, THREE, FOUR)
    pool.delete()
    pool.check_gone()


def _forced(site: Site, *serials: str) -> str:
    """What mdadm can still make of members that nothing was written to."""
    nodes = " ".join(map(site.node, serials))
    read = "mount -o ro /dev/md9 /srv && sha256sum < /srv/data; umount /srv"
    assembled = f"mdadm --assemble --force --run /dev/md9 {nodes} >&2"
    return site.output(f"{assembled}; {read}; mdadm --stop /dev/md9 >&2; udevadm settle")
