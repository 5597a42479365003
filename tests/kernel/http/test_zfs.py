"""Behaviour specific to ZFS."""

from ..lab.drives import numbered
from .backends import ZFS, Backend
from .site import TELL_UDEV, Site

BACKENDS = [ZFS]
DRIVES = numbered(3, 128 << 20)
ONE, TWO, THREE = (drive.serial for drive in DRIVES)
_LABEL = 256 << 10


def test_a_drive_with_damaged_labels_is_in_doubt_alone(site: Site, backend: Backend) -> None:
    """The pool's name and guid are gone from all four copies of the label."""
    pool = site.made(ONE, TWO, **backend.options())
    written = pool.write()
    node, size = site.node(THREE), DRIVES[2].size
    site.output(f"zpool create tank {node} && zpool export tank")
    for start in (0, _LABEL, size - 2 * _LABEL, size - _LABEL):
        seek = (start >> 10) + 16
        site.output(f"dd if=/dev/urandom of={node} bs=1K count=112 seek={seek} conv=notrunc,fsync")
    site.output(f"{TELL_UDEV} {node}")
    site.done("POST", "/drives/refresh")
    why = site.drives()[THREE]["unavailableBecause"]
    if backend.member in site.look().drives[THREE]:
        assert "which backend zfs cannot read: its ZFS label" in why, why
    else:  # libblkid from 2.40 on reads the label itself and takes a damaged one for none
        assert why is None
    pool.unmount()
    site.restart()
    pool.mount()
    assert pool.read() == written and "staleBecause" not in pool.detail()
    taken = site.made(THREE, wipe=True, **backend.alone())
    pool.delete()
    taken.delete()
    site.check_clean([ONE, TWO, THREE])
