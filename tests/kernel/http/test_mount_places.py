"""Pools may be mounted only below the mount roots, where only root can change the path."""

import pytest

from ..lab.drives import numbered
from .backends import Backend
from .site import Pool, Site

DRIVES = numbered(2, 64 << 20)
ONE, TWO = (drive.serial for drive in DRIVES)


@pytest.mark.thorough("lvm", "zfs")
def test_a_stranger_leads_no_mount(site: Site, backend: Backend) -> None:
    """A drive mounted over a rules directory would run its rules as root."""
    site.output("mkdir -p /srv/house /srv/theirs/x; chown 1000:1000 /srv/theirs")
    for path, words in (
        ("/etc/udev/rules.d", "is not below /mnt, /media, /srv"),
        ("/srv/theirs/x", "/srv/theirs belongs to user 1000"),
        ("/srv/theirs/new/deep", "/srv/theirs belongs to user 1000"),
    ):
        wanted = Pool.plan(site, [ONE, TWO], **backend.options(), mountPath=path)
        answer = site.refused("POST", "/pools", wanted.request, status=400, code="VALIDATION_ERROR")
        assert words in answer["error"]["message"]
    assert site.output("find /srv/theirs").split() == ["/srv/theirs", "/srv/theirs/x"]

    pool = site.made(ONE, TWO, **backend.options(), mountPath="/srv/house/pool")
    written = pool.write()
    pool.unmount()
    elsewhere = {"mountPath": "/etc/udev/rules.d"}
    site.refused("POST", f"{pool.url}/mount", elsewhere, status=400, code="VALIDATION_ERROR")
    site.run("chattr -i /srv/house/pool")
    site.output("chown 1000 /srv/house; rm -rf /srv/house/pool")
    site.output("ln -s /etc/udev/rules.d /srv/house/pool")
    site.refused("POST", f"{pool.url}/mount", status=400, code="VALIDATION_ERROR")
    site.output("chown root /srv/house")
    site.refused("POST", f"{pool.url}/mount", status=400, code="VALIDATION_ERROR")
    assert site.run("grep -E 'rules.d|house' /proc/mounts").rc == 1
    site.output("rm /srv/house/pool")
    pool.mount()
    assert pool.read() == written
    pool.delete()
    site.output("rm -r /srv/house /srv/theirs")
