"""A mount directory takes no file, not even from root, while its pool is away."""

import pytest

from ..lab.drives import numbered
from .backends import Backend
from .site import Pool, Site

DRIVES = numbered(2, 64 << 20)
ONE, TWO = (drive.serial for drive in DRIVES)


def check_sealed(pool: Pool) -> None:
    """Nothing can be written, and the agent says what is there."""
    site = pool.site
    assert not pool.mounted()
    assert site.output(f"lsattr -d {pool.path}").split()[0].count("i") == 1
    for attempt in ("touch {}/file", "mkdir {}/a", "cp /etc/fstab {}", "rmdir {}", "chmod 700 {}"):
        refused = site.run(f"LC_ALL=C {attempt.format(pool.path)}")
        assert refused.rc != 0 and "Operation not permitted" in refused.err, refused
    encoded = pool.path.replace("/", "%2F")
    answer = site.refused("GET", f"/mounts/{encoded}", status=404, code="NOT_FOUND")
    assert "nothing can be written" in answer["error"]["details"]


def check_proven(pool: Pool) -> None:
    proof = pool.site.get(f"/mounts/{pool.path.replace('/', '%2F')}")
    assert (proof["poolGroupGuid"], proof["mountPath"]) == (pool.guid, pool.path)
    assert proof["readOnly"] is False


def test_sealed_through_a_pools_life(site: Site, backend: Backend) -> None:
    pool = site.made(ONE, TWO, **backend.options())
    check_proven(pool)
    written = pool.write()
    pool.unmount()
    check_sealed(pool)
    site.restart("kill")
    check_sealed(pool)
    pool.mount()
    check_proven(pool)
    assert pool.read() == written
    elsewhere = f"{pool.path}-elsewhere"
    pool.unmount()
    site.done("POST", f"{pool.url}/mount", {"mountPath": elsewhere})
    assert site.output(f"lsattr -d {pool.path}").split()[0].count("i") == 1
    pool.delete()
    assert site.run(f"ls -d {pool.path} {elsewhere}").out == ""
    pool.check_gone()


@pytest.mark.thorough("lvm", "zfs")
def test_sealed_after_power_cuts(site: Site, backend: Backend) -> None:
    """While it is mounted and while it is away: the flag is on the disk."""
    pool = site.made(ONE, TWO, **backend.options())
    site.guest.cut()
    site.boot()
    pool.until("ready")
    pool.unmount()
    check_sealed(pool)
    site.guest.cut()
    site.boot()
    check_sealed(pool)
    pool.mount()
    check_proven(pool)
    pool.delete()
    pool.check_gone()


@pytest.mark.thorough("lvm", "zfs")
def test_what_the_agent_did_not_make_is_left(site: Site, backend: Backend) -> None:
    path = "/mnt/backy/theirs"
    site.output(f"mkdir {path}")
    pool = site.made(ONE, TWO, **backend.options(), mountPath=path)
    pool.unmount()
    site.output(f"touch {path}/backup")
    found = {finding["check"]: finding for finding in site.get("/doctor")["findings"]}
    assert (found["mount-places"]["subject"], found["mount-places"]["severity"]) == (
        path,
        "warning",
    )
    encoded = path.replace("/", "%2F")
    answer = site.refused("GET", f"/mounts/{encoded}", status=404, code="NOT_FOUND")
    assert "not the pool's" in answer["error"]["details"]
    site.output(f"rm {path}/backup")
    pool.delete()
    site.output(f"rmdir {path}")


@pytest.mark.thorough("lvm", "zfs")
def test_another_filesystem_in_its_place_is_told(site: Site, backend: Backend) -> None:
    pool = site.made(ONE, TWO, **backend.options())
    pool.unmount()
    site.output(f"mount -t tmpfs intruder {pool.path}")
    encoded = pool.path.replace("/", "%2F")
    answer = site.refused("GET", f"/mounts/{encoded}", status=404, code="NOT_FOUND")
    assert "intruder is mounted there, with tmpfs" in answer["error"]["details"]
    site.output(f"umount {pool.path}")
    pool.delete()
    pool.check_gone()
