"""Filesystems that take no data: on write-protected drives, and after an error."""

from ..lab.drives import numbered
from .backends import MDADM, Backend
from .site import Pool, Site

BACKENDS = [MDADM]
DRIVES = numbered(2, 400 << 20)
ONE, TWO = (drive.serial for drive in DRIVES)


def until_told(pool: Pool, state: str, words: str) -> None:
    """Nobody asks the agent to look: it notices by itself."""
    message = pool.until(state)["errorMessage"]
    assert words in message, message
    listed = pool.listed()
    assert listed is not None and (listed["state"], listed["errorMessage"]) == (state, message)


def test_what_takes_no_data_says_so(site: Site, backend: Backend) -> None:
    pool = site.made(ONE, TWO, **backend.options())
    written = pool.write()
    pool.unmount()
    nodes = f"{site.node(ONE)} {site.node(TWO)}"
    site.output(f"blockdev --setro {nodes}; udevadm settle")
    answer = pool.mount()
    assert answer["state"] == "ready" and pool.read() == written
    detail = pool.detail()
    assert "read-only" in detail["errorMessage"] and ONE in detail["errorMessage"], detail
    pool.unmount()
    site.output(f"blockdev --setrw {nodes}; udevadm settle")
    pool.mount()
    assert "errorMessage" not in pool.detail()

    device = pool.detail()["poolId"]
    site.output(
        f"mount -o remount,errors=remount-ro {pool.path} && "
        f"echo 1 > /sys/fs/ext4/{device}/trigger_fs_error"
    )
    until_told(pool, "error", "met an error")
    pool.unmount()
    pool.mount()
    assert pool.read() == written and pool.detail()["state"] == "ready"
    pool.delete()

    other = site.made(ONE, TWO, **backend.options() | {"filesystem": "xfs"})
    other.write()
    site.output(f"xfs_io -x -c shutdown {other.path}")
    until_told(other, "error", "met an error")
    other.unmount()
    other.delete()
    other.check_gone()
