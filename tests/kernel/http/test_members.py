"""Members that fail, are pulled, return, or are replaced, under a mounted pool."""

from typing import Any

import pytest

from ..lab.drives import numbered
from . import fields
from .backends import Backend
from .site import Pool, Site

DRIVES = numbered(4, 64 << 20, faults=True)
ONE, TWO, THREE, FOUR = (drive.serial for drive in DRIVES)


def add(pool: Pool, **body: Any) -> dict[str, Any]:
    """The app's "Force Add"."""
    return pool.site.done("POST", f"{pool.url}/drives/add", body)


def check_recovery(pool: Pool, backend: Backend) -> None:
    """From recovering, with its progress, to active, without."""
    detail = pool.detail()
    if backend.sync_can_wait:
        assert detail["poolStatus"] == "recovering"
        assert 0 <= detail["resyncPercentage"] <= 100
        assert detail.get("resyncTimeEstimate", 0.0) >= 0
    fields.check_standing(detail)
    backend.full_sync(pool.site)
    detail = pool.until_health("active")
    assert not fields.SYNC & set(detail)
    assert set(pool.members().values()) == {"active"}


def test_failed_and_replaced(site: Site, backend: Backend) -> None:
    pool = site.made(ONE, TWO, **backend.options())
    written = pool.write()
    pool.until_health("active")
    backend.fail(pool, TWO)
    detail = pool.until_health("degraded")
    assert detail["state"] == "ready"
    pool.until_member(TWO, "failed")
    assert pool.read() == written

    link = site.drives()[THREE]["id-link"]
    assert THREE in link and "/" not in link
    backend.slow_sync(site)
    add(pool, driveId=7, devPath=f"/dev/disk/by-id/{link}", replaces=TWO)
    check_recovery(pool, backend)
    assert set(pool.members()) == {ONE, THREE}
    assert sorted(site.metadata()[pool.guid]["driveSerials"]) == [ONE, THREE]
    assert pool.read() == written
    add(pool, driveId=7, devPath=f"/dev/disk/by-id/{link}", replaces=TWO)
    pool.check_ready()

    pool.unmount()
    pool.mount()
    assert pool.read() == written and pool.detail()["poolStatus"] == "active"
    # From util-linux 2.40 on libblkid sees no ZFS member in one whose labels have the txg 0.
    if backend.member in site.look().drives[TWO]:
        other = Pool.plan(site, [TWO], **backend.alone())
        site.refused("POST", "/pools", other.request, status=409, code="DRIVE_NOT_EMPTY")
    site.wipe_leftover(TWO, **backend.alone())
    pool.delete()
    pool.check_gone()


@pytest.mark.thorough("lvm", "zfs")
def test_healthy_member_replaced(site: Site, backend: Backend) -> None:
    """In the end the old one is free. mdadm keeps it until the new one is filled."""
    pool = site.made(ONE, TWO, **backend.options())
    written = pool.write()
    pool.until_health("active")
    body = {"serial": THREE, "replaces": TWO}
    add(pool, **body)
    pool.until_health("active")
    assert pool.members() == {ONE: "active", THREE: "active"}
    add(pool, **body)
    pool.check_ready()
    pool.unmount()
    pool.mount()
    assert pool.read() == written
    other = site.made(TWO, FOUR, **backend.options(), wipe=True)
    other.check_ready()
    for each in (pool, other):
        each.delete()
    site.check_clean([ONE, TWO, THREE, FOUR])


def test_failed_member_taken_back(site: Site, backend: Backend) -> None:
    """A loose cable: the drive is asked for again by the name it had."""
    pool = site.made(ONE, TWO, **backend.options())
    pool.until_health("active")
    backend.fail(pool, TWO)
    pool.until_health("degraded")
    written = pool.write()
    backend.slow_sync(site)
    add(pool, serial=TWO)
    check_recovery(pool, backend)
    assert set(pool.members()) == {ONE, TWO} and pool.read() == written
    pool.delete()
    pool.check_gone()


@pytest.mark.thorough("lvm", "zfs")
def test_pulled_and_returned(site: Site, backend: Backend) -> None:
    """Pulled from under a mounted pool; put back, it is taken back by its own name."""
    pool = site.made(ONE, TWO, **backend.options())
    pool.until_health("active")
    site.guest.unplug(TWO)
    pool.until_health("degraded")
    backend.notice(pool)
    pool.until_member(TWO, "disconnected")
    assert TWO not in site.drives()
    listed = pool.listed()
    assert listed is not None
    connected = {drive["serial"]: drive["isConnected"] for drive in listed["drives"]}
    assert connected == {ONE: True, TWO: False}
    written = pool.write()

    site.plug(TWO)
    assert site.drives()[TWO]["poolGroupGuid"] == pool.guid
    assert pool.members()[TWO] in ("stale", "missing", "failed")
    backend.slow_sync(site)
    add(pool, serial=TWO)
    backend.full_sync(site)
    pool.until_health("active")
    assert pool.members() == {ONE: "active", TWO: "active"}
    assert pool.read() == written
    pool.check_ready()
    pool.delete()
    pool.check_gone()


def test_diverged_member(site: Site, backend: Backend) -> None:
    """Each half written to without the other: nothing is merged, and only a wipe joins them."""
    pool = site.made(ONE, TWO, **backend.options())
    pool.until_health("active")
    pool.unmount()
    site.guest.unplug(TWO)
    pool.mount()
    pool.until_health("degraded")
    pool.write()
    pool.unmount()
    site.guest.unplug(ONE)
    site.plug(TWO)
    pool.mount()
    kept = pool.write()
    site.plug(ONE)

    path = f"{pool.url}/drives/add"
    assert pool.members()[ONE] == "diverged"
    error = site.refused("POST", path, {"serial": ONE}, status=409, code="DRIVE_NOT_EMPTY")
    assert ONE in error["error"]["message"]
    assert pool.members()[ONE] == "diverged" and pool.read() == kept
    add(pool, serial=ONE, wipe=True)
    pool.until_health("active")
    assert pool.read() == kept
    pool.delete()
    pool.check_gone()


@pytest.mark.thorough("lvm", "zfs")
def test_refused_additions(site: Site, backend: Backend) -> None:
    pool = site.made(ONE, TWO, **backend.options())
    other = site.made(THREE, **backend.alone())
    path = f"{pool.url}/drives/add"
    pool.until_health("active")
    site.refused("POST", path, {}, status=400, code="VALIDATION_ERROR")
    site.refused("POST", path, {"serial": FOUR}, status=409, code="CONFLICT")
    site.refused("POST", path, {"serial": "nonesuch"}, status=404, code="NOT_FOUND")
    backend.fail(pool, TWO)
    pool.until_health("degraded")
    wanted = {"serial": THREE, "replaces": TWO, "wipe": True}
    site.refused("POST", path, wanted, status=409, code="DRIVE_IN_USE")
    site.output(f"mkfs.ext4 -q {site.node(FOUR)} && udevadm settle")
    wanted = {"serial": FOUR, "replaces": TWO}
    error = site.refused("POST", path, wanted, status=409, code="DRIVE_NOT_EMPTY")
    assert "ext4" in str(error)
    add(pool, serial=FOUR, replaces=TWO, wipe=True)
    pool.until_health("active")
    other.check_ready()
    site.wipe_leftover(TWO, **backend.alone())
    for each in (pool, other):
        each.delete()
    site.check_clean([ONE, TWO, THREE, FOUR])
