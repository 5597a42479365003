"""What only LVM has."""

import time
from typing import Any

from ..lab.drives import numbered
from .backends import LVM, Backend
from .site import PATIENCE, TELL_UDEV, Site

BACKENDS = [LVM]
DRIVES = numbered(2, 64 << 20)
ONE, TWO = (drive.serial for drive in DRIVES)


def test_a_pool_that_lost_every_drive_is_let_go(site: Site, backend: Backend) -> None:
    """Its metadata went with the drives: only device-mapper knows it still."""
    pool = site.made(ONE, **backend.alone())
    written = pool.write()
    site.guest.unplug(ONE)
    pool.until_health("failed")
    pool.unmount()
    assert backend.leftovers(site) == ""
    site.plug(ONE)
    pool.mount()
    assert pool.read() == written
    pool.delete()
    pool.check_gone()
    assert site.run("ls /etc/lvm/devices").rc != 0, "a devices file would hide other groups"


def test_a_group_made_by_hand_is_imported(site: Site, backend: Backend) -> None:
    """It has no GUID of ours: one is made of its UUID; udev may activate it."""
    nodes = f"{site.node(ONE)} {site.node(TWO)}"
    site.output(
        f"vgcreate -qy data {nodes} && lvcreate -qy --extents 100%FREE --name files data"
        f" && mkfs.ext4 -q /dev/data/files && {TELL_UDEV} /dev/data/files"
    )
    # What is on the volume is udev's word, which comes when it has looked.
    deadline = time.monotonic() + PATIENCE
    while (found := _importable(site))["filesystem"] is None:
        assert time.monotonic() < deadline, found
    assert (found["label"], found["level"], found["filesystem"]) == ("data/files", "linear", "ext4")
    site.check_adopted(found["poolGroupGuid"], ONE, TWO)
    assert site.run("dmsetup ls | grep ^data-").out == ""


def _importable(site: Site) -> dict[str, Any]:
    """The one pool that can be imported, after a new look."""
    site.done("POST", "/drives/refresh")
    (found,) = site.get("/pools/importable")
    return dict(found)
