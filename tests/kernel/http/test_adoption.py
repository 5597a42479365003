"""Pools the metadata does not know."""

from ..lab.drives import numbered
from . import fields
from .backends import Backend
from .machine import METADATA_FILE
from .site import Pool, Site

OF_THE_CORE = True
DRIVES = numbered(3, 64 << 20)
ONE, TWO, THREE = (drive.serial for drive in DRIVES)


def check_importable(pool: Pool, backend: Backend) -> None:
    """The pool, and only it, is offered under its own GUID."""
    (found,) = pool.site.get("/pools/importable")
    assert set(found) == fields.IMPORTABLE
    assert found["poolGroupGuid"] == pool.guid
    assert (found["backend"], found["level"]) == (backend.name, backend.mirror)
    assert sorted(found["drives"]) == sorted(pool.serials)
    pool.site.refused("GET", pool.url, status=404, code="NOT_FOUND")
    assert pool.listed() is None


def check_gone(pool: Pool) -> None:
    """The mount directory may stay, for who made it was forgotten with the metadata."""
    pool.site.run(f"chattr -i {pool.path}; rmdir {pool.path}")
    pool.check_gone()


def test_forgotten_and_imported(site: Site, backend: Backend) -> None:
    """Mounted, and unmounted; data and drives are not touched by either."""
    pool = site.made(ONE, TWO, **backend.options())
    written = pool.write()
    answer = site.done("DELETE", f"/pools/metadata/{pool.guid}")
    assert set(answer) == {"success", "message"}
    assert site.metadata() == {} and pool.mounted()
    check_importable(pool, backend)
    assert not site.drives()[ONE]["available"]
    other = Pool.plan(site, [ONE, THREE], **backend.options())
    site.refused("POST", "/pools", other.request, status=409, code="DRIVE_IN_USE")
    again = Pool.plan(site, [THREE], **backend.alone(), poolGroupGuid=pool.guid)
    site.refused("POST", "/pools", again.request, status=409, code="CONFLICT")

    answer = site.done("POST", f"{pool.url}/import", {"label": "found again"})
    assert answer["poolGroupGuid"] == pool.guid
    pool.until("ready")
    pool.check_ready()
    assert pool.detail()["label"] == "found again" and pool.read() == written
    assert site.get("/pools/importable") == []

    pool.unmount()
    site.done("DELETE", "/pools/metadata")
    check_importable(pool, backend)
    site.done("POST", f"{pool.url}/import", {"mountPath": "/mnt/elsewhere/pool"})
    assert pool.state() == "unmounted"
    answer = pool.mount()
    assert answer["mountPath"] == "/mnt/elsewhere/pool"
    assert site.output("sha256sum < /mnt/elsewhere/pool/data") == written
    pool.delete()
    assert site.run("test -e /mnt/elsewhere").rc == 1, "made for the mount, gone with it"
    check_gone(pool)


def test_lost_file(site: Site, backend: Backend) -> None:
    """The file is gone, and its previous generation: nothing is assumed, everything is found."""
    pool = site.made(ONE, TWO, **backend.options())
    pool.unmount()
    site.guest.agent("kill")
    site.output(f"rm {METADATA_FILE}*")
    site.guest.agent("start")
    check_importable(pool, backend)
    site.done("POST", f"{pool.url}/import", {})
    pool.mount()
    pool.check_ready()
    pool.delete()
    check_gone(pool)


def test_garbled_file(site: Site, backend: Backend) -> None:
    """It is set aside under another name, and the previous generation is used."""
    pool = site.made(ONE, TWO, **backend.options())
    site.done("PATCH", pool.url, {"label": "renamed"})
    site.guest.agent("kill")
    site.output(f"echo '{{\"pools\": [' > {METADATA_FILE}")
    site.guest.agent("start")
    pool.until("ready")
    assert site.metadata()[pool.guid]["lastMountPath"] == pool.path
    aside = site.output(f"ls {METADATA_FILE}*").split()
    assert len(aside) >= 2 and "pool-metadata" in site.guest.log()
    pool.delete()
    pool.check_gone()


def test_rename(site: Site, backend: Backend) -> None:
    pool = site.made(ONE, TWO, **backend.options())
    answer = site.done("PATCH", pool.url, {"label": "new", "driveLabels": {ONE: "left"}})
    assert answer["success"] is True
    detail = pool.detail()
    labels = {drive["serial"]: drive["label"] for drive in detail["drives"]}
    assert (detail["label"], labels) == ("new", {ONE: "left", TWO: f"{TWO}-label"})
    assert site.metadata()[pool.guid]["label"] == "new"
    site.refused("PATCH", pool.url, {"label": ""}, status=400, code="VALIDATION_ERROR")
    site.refused("PATCH", pool.url, {"name": "x"}, status=400, code="VALIDATION_ERROR")
    pool.delete()
    pool.check_gone()
