"""Drives that must not be taken for what they are, and the setting that makes wiping the rule."""

import pytest

from ..lab.drives import Drive
from .backends import Backend
from .site import Pool, Site

OF_THE_CORE = True
DRIVES = [
    *(Drive("twin", 64 << 20, name=name) for name in ("twin-a", "twin-b")),
    *(Drive(serial, 64 << 20) for serial in ("kept-out-1", "plain1", "plain2")),
]
GUEST = {"env": {"BACKY_EXCLUDE_DRIVES": "kept-out-*", "BACKY_WIPE_POLICY": "always"}}
PLAIN = ("plain1", "plain2")


@pytest.fixture(autouse=True)
def one_twin(site: Site) -> None:
    """The other one is on the shelf."""
    site.unplug("twin-b")


def test_one_serial_for_two_drives(site: Site, backend: Backend) -> None:
    site.plug("twin-b")
    pool = Pool.plan(site, ["twin", "plain1"], **backend.options())
    error = site.refused("POST", "/pools", pool.request, status=409, code="CONFLICT")
    assert "twin" in error["error"]["message"]
    twins = [d for d in site.get("/drives")["blockdevices"] if d["serial"] == "twin"]
    assert [drive["available"] for drive in twins] == [False, False]
    site.unplug("twin-b")
    made = site.made("twin", "plain1", **backend.options())
    made.check_ready()
    made.delete()
    made.check_gone()


def test_excluded_and_other_devices(site: Site, backend: Backend) -> None:
    """Not in the list, and not to be had by name."""
    site.output("truncate -s 64M /run/image && losetup /dev/loop7 /run/image && udevadm settle")
    site.done("POST", "/drives/refresh")
    listed = {drive["serial"] for drive in site.get("/drives")["blockdevices"]}
    assert listed == {"twin", *PLAIN}
    pool = Pool.plan(site, ["kept-out-1", "plain1"], **backend.options(), wipe=True)
    site.refused("POST", "/pools", pool.request, status=409, code="DRIVE_PROTECTED")
    for serial in ("loop7", "loop0", "sda"):
        pool = Pool.plan(site, [serial], **backend.alone())
        site.refused("POST", "/pools", pool.request, status=404, code="NOT_FOUND")
    site.output("losetup -d /dev/loop7; rm /run/image")


def test_wipe_policy_always(site: Site, backend: Backend) -> None:
    """For clients that cannot consent: foreign data goes, and the outputs say what it was."""
    site.output(f"mkfs.ext4 -q -L precious {site.node('plain1')} && udevadm settle")
    first = site.made("plain1", **backend.alone())
    lines = first.outputs()
    assert any("erased" in line and "ext4" in line for line in lines), lines
    for wipe in (False, True):
        other = Pool.plan(site, PLAIN, **backend.options(), wipe=wipe)
        site.refused("POST", "/pools", other.request, status=409, code="DRIVE_IN_USE")
    first.check_ready()
    first.delete()
    first.check_gone()
