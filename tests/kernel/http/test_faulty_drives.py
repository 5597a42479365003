"""Drives that fail during a creation: it is rolled back and reported, and the drives are clean."""

import pytest

from ..lab.drives import Drive, Fault
from .backends import MDADM, Backend
from .site import Pool, Site
from .tools import held_maker

OF_THE_CORE = True
DRIVES = [Drive("faulty", 64 << 20, faults=True)]


@pytest.mark.parametrize("fault", ["error", "write-error"])
def test_drive_fails_while_it_is_made(site: Site, backend: Backend, fault: Fault) -> None:
    """By dm-error and by dm-flakey; one drive, so that no redundancy helps."""
    pool = _failed(site, backend, fault)
    detail = pool.detail()
    assert set(detail) == {"state", "errorMessage"} and detail["errorMessage"]
    assert any(line.startswith(f"$ {backend.making}") for line in pool.outputs())
    assert pool.guid not in site.metadata()
    assert not pool.mounted() and site.run(f"test -e {pool.path}").rc == 1

    site.guest.fault("faulty", "none")
    assert site.journal() or fault != "error" or backend is not MDADM
    if site.journal():
        _check_set_apart(site, pool, backend)
        if fault == "error":
            _free_by_doctor(site)
        _check_rolled_back_at_start(site, pool)
    else:
        site.done("DELETE", pool.url)
    pool.check_gone()
    _check_usable(site, backend)


def _failed(site: Site, backend: Backend, fault: Fault) -> Pool:
    """A creation in the midst of which the drive began to fail, as it still does."""
    with held_maker(site, backend) as maker:
        pool = site.create("faulty", **backend.alone())
        maker.began()
        site.guest.fault("faulty", fault)
        maker.go()
        pool.until("failed")
    return pool


def _check_set_apart(site: Site, pool: Pool, backend: Backend) -> None:
    """The roll-back could not reach the drive: it is quarantined."""
    drive = site.drives()["faulty"]
    assert not drive["available"] and drive["unavailableBecause"]
    other = Pool.plan(site, ["faulty"], **backend.alone(), wipe=True)
    site.refused("POST", "/pools", other.request, status=409, code="DRIVE_IN_USE")


def _free_by_doctor(site: Site) -> None:
    """The drive is wiped, if its serial is repeated, and free before the next start."""
    asked = {"check": "quarantined", "subject": "faulty"}
    steps = site.done("POST", "/doctor/repair?dryRun=true", asked)["plan"]["steps"]
    if len(steps) > 1:
        assert "which holds" in steps[0]["title"] and steps[0]["effect"] == "destroys"
        assert site.call("POST", "/doctor/repair", asked).status_code == 400
    site.done("POST", "/doctor/repair", {**asked, "confirm": "faulty"})
    assert site.drives()["faulty"]["available"]


def _check_rolled_back_at_start(site: Site, pool: Pool) -> None:
    site.restart("stop")
    detail = pool.until("failed")
    assert "rolled back" in detail["errorMessage"]


def _check_usable(site: Site, backend: Backend) -> None:
    again = site.made("faulty", **backend.alone())
    again.delete()
    again.check_gone()


@pytest.mark.parametrize("fault", ["error", "write-error"])
def test_set_apart_drives_are_freed_by_delete(site: Site, backend: Backend, fault: Fault) -> None:
    """The documented way out without a restart."""
    pool = _failed(site, backend, fault)
    left = fault == "error" or backend.member in site.look().drives["faulty"]
    assert (site.journal() != []) is left, "a member that cannot be wiped is not forgotten"
    assert site.drives()["faulty"]["available"] is not left
    site.guest.fault("faulty", "none")
    site.done("DELETE", pool.url)
    pool.check_gone()


def test_what_a_failed_wipe_left_in_memory_is_not_believed(site: Site, backend: Backend) -> None:
    """While anybody has a drive open, its page cache keeps what could not be written."""
    node = site.node("faulty")
    site.output(f"sleep 600 < {node} > /dev/null 2>&1 & echo $! > /run/reader")
    pool = _failed(site, backend, "write-error")
    site.output("kill $(cat /run/reader)")
    left = backend.member in site.look().drives["faulty"]
    assert (site.journal() != []) is left
    site.guest.fault("faulty", "none")
    site.done("DELETE", pool.url)
    pool.check_gone()


def test_drive_pulled_while_it_is_made(site: Site, backend: Backend) -> None:
    """The creation is remembered while the drive is away, and rolled back when it returns."""
    with held_maker(site, backend) as maker:
        pool = site.create("faulty", **backend.alone())
        maker.began()
        site.guest.unplug("faulty")
        maker.go()
        pool.until("failed")
    assert pool.guid not in site.metadata()
    assert "faulty" not in site.drives()
    site.guest.plug("faulty")
    site.output("for i in $(seq 100); do [ -e /dev/disk/by-id/*faulty ] && break; sleep 0.1; done")
    _await_clean(site, pool)
    _check_usable(site, backend)


def _await_clean(site: Site, pool: Pool) -> None:
    """Wait for the roll-back when the drive is back, or when the pool is deleted."""
    for _ in range(100):
        if not site.journal() and site.drives().get("faulty", {}).get("available"):
            break
        site.output("sleep 0.1")
    site.call("DELETE", pool.url)
    pool.check_gone()
