"""Drives that fail under a creation: it is undone, said, and the drives come back clean."""

import pytest

from ..lab.drives import Drive, Fault
from .backends import Backend
from .site import Pool, Site

DRIVES = [Drive("faulty", 64 << 20, faults=True), Drive("good", 64 << 20)]
SLOW_MKFS = """#!/bin/sh
touch /run/mkfs-began
while ! [ -e /run/mkfs-may-go ]; do sleep 0.05; done
exec {real} "$@"
"""


class HeldMkfs:
    """mkfs.ext4 replaced by one that waits at its start until it is let go."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._real = site.output("readlink -e /sbin/mkfs.ext4")

    def __enter__(self) -> "HeldMkfs":
        script = SLOW_MKFS.format(real=f"{self._real}.real")
        self._site.output(
            f"rm -f /run/mkfs-*; mv {self._real} {self._real}.real; rm -f /sbin/mkfs.ext4\n"
            f"cat > /sbin/mkfs.ext4 <<'END'\n{script}END\nchmod a+x /sbin/mkfs.ext4"
        )
        return self

    def began(self) -> None:
        """Wait until it was started."""
        self._site.output("while ! [ -e /run/mkfs-began ]; do sleep 0.05; done")

    def go(self) -> None:
        """Let it do its work."""
        self._site.output("touch /run/mkfs-may-go")

    def __exit__(self, *_: object) -> None:
        self.go()
        self._site.output(f"rm /sbin/mkfs.ext4; mv {self._real}.real {self._real}")
        self._site.output(f"[ -e /sbin/mkfs.ext4 ] || ln -s {self._real} /sbin/mkfs.ext4")


@pytest.mark.parametrize("fault", ["error", "flakey", "write-error"])
def test_drive_fails_under_mkfs(site: Site, backend: Backend, fault: Fault) -> None:
    """One drive, so that no redundancy helps."""
    with HeldMkfs(site) as mkfs:
        pool = site.create("faulty", **backend.options())
        mkfs.began()
        site.guest.fault("faulty", fault)
        mkfs.go()
        detail = pool.until("failed", within=120)
    assert set(detail) == {"state", "errorMessage"} and detail["errorMessage"]
    assert any(line.startswith("$ mkfs.ext4") for line in pool.outputs())
    assert pool.guid not in site.metadata()
    assert not pool.mounted() and site.run(f"test -e {pool.path}").rc == 1

    site.guest.fault("faulty", "none")
    if site.journal():
        _check_set_apart(site, pool, backend)
    else:
        site.done("DELETE", pool.url)
    pool.check_gone()
    _check_usable(site, backend)


def _check_set_apart(site: Site, pool: Pool, backend: Backend) -> None:
    """The undo could not reach the drive: it is kept from harm until the next start undoes."""
    drive = site.drives()["faulty"]
    assert not drive["available"] and drive["unavailableBecause"]
    other = Pool.plan(site, ["faulty"], **backend.options(), wipe=True)
    site.refused("POST", "/pools", other.request, status=409, code="DRIVE_IN_USE")
    site.restart("stop")
    detail = pool.until("failed")
    assert "rolled back" in detail["errorMessage"]


def _check_usable(site: Site, backend: Backend) -> None:
    again = site.made("faulty", **backend.options())
    again.delete()
    again.check_gone()


def test_set_apart_drives_are_freed_by_delete(site: Site, backend: Backend) -> None:
    """The documented way out without a restart."""
    with HeldMkfs(site) as mkfs:
        pool = site.create("faulty", "good", **backend.options())
        mkfs.began()
        site.output("mv /sbin/mkfs.ext4 /sbin/mkfs.ext4.held")
        # The drive and mkfs fail at once: what was begun cannot be wiped from the drive.
        site.guest.fault("faulty", "write-error")
        site.output("pkill -f /sbin/mkfs.ext4 || true; mv /sbin/mkfs.ext4.held /sbin/mkfs.ext4")
        mkfs.go()
        detail = pool.until("failed", within=120)
    assert detail["errorMessage"]
    assert site.journal() != [], "a member that cannot be wiped is not forgotten"
    assert not site.drives()["faulty"]["available"]
    site.guest.fault("faulty", "none")
    site.done("DELETE", pool.url)
    site.check_clean(["faulty", "good"])
    assert site.journal() == []


def test_drive_pulled_under_mkfs(site: Site, backend: Backend) -> None:
    """It is remembered while it is away, and undone when it returns."""
    with HeldMkfs(site) as mkfs:
        pool = site.create("faulty", **backend.options())
        mkfs.began()
        site.guest.unplug("faulty")
        mkfs.go()
        pool.until("failed", within=120)
    assert pool.guid not in site.metadata()
    assert "faulty" not in site.drives()
    site.guest.plug("faulty")
    site.output("for i in $(seq 100); do [ -e /dev/disk/by-id/*faulty ] && break; sleep 0.1; done")
    _await_clean(site, pool)
    _check_usable(site, backend)


def _await_clean(site: Site, pool: Pool) -> None:
    """Undone as soon as the drive is seen again, or when the pool is deleted."""
    for _ in range(100):
        if not site.journal() and site.drives().get("faulty", {}).get("available"):
            break
        site.output("sleep 0.1")
    site.call("DELETE", pool.url)
    pool.check_gone()
