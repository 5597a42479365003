"""Drives that dropped out one after the other: the way back, and what each step says."""

from ..lab.drives import numbered
from .backends import MDADM, Backend
from .site import Site

BACKENDS = [MDADM]
DRIVES = numbered(3, 96 << 20)
ONE, TWO, THREE = (drive.serial for drive in DRIVES)


def test_raid5_that_lost_two_drives_one_after_the_other(site: Site, backend: Backend) -> None:
    pool = site.made(ONE, TWO, THREE, **backend.options() | {"level": "raid5"})
    label, mount = pool.detail()["label"], f"{pool.url}/mount"
    pool.until_health("active")
    written = pool.write()
    site.output(f"sync -f {pool.path}")
    for serial in (ONE, TWO):
        site.guest.unplug(serial)
        site.run(f"date > {pool.path}/after-{serial}; sync -f {pool.path}")
    pool.until_health("failed")
    pool.until_member(TWO, "disconnected")
    assert TWO in pool.detail()["errorMessage"], "it says what to plug in"
    for serial in (ONE, TWO):
        site.plug(serial)
    assert "mount it again" in pool.until_health("failed")["errorMessage"]
    by_force = {"force": True, "label": label}
    site.refused("POST", mount, by_force, status=409, code="CONFLICT")
    pool.unmount()

    seen = site.look()
    told = site.refused("POST", mount, status=409, code="CONFLICT")
    assert "events behind" in str(told) and "force" in str(told)
    dry = site.done("POST", f"{mount}?dryRun=true", {"force": True})
    behind = {member["serial"]: member["behind"] for member in dry["members"]}
    assert behind[THREE] is None and TWO in dry["mayBeLost"]
    assert all("behind" in behind[serial] for serial in (ONE, TWO))
    site.refused("POST", mount, {"force": True}, status=400, code="VALIDATION_ERROR")
    wrong = {"force": True, "label": label + "x"}
    site.refused("POST", mount, wrong, status=409, code="CONFLICT")
    assert site.look() == seen

    site.done("POST", mount, by_force)
    detail = pool.detail()
    assert (detail["state"], detail["poolStatus"]) == ("ready", "degraded")
    assert "by force" in detail["errorMessage"]
    assert pool.read() == written
    assert site.run(f"touch {pool.path}/new").rc != 0
    site.refused("POST", mount, status=409, code="CONFLICT")
    pool.unmount()

    pool.mount()
    assert pool.read() == written
    assert "errorMessage" not in pool.detail()
    written = pool.write()
    site.done("POST", f"{pool.url}/drives/add", {"serial": ONE})
    pool.until_health("active")
    assert set(pool.members().values()) == {"active"} and pool.read() == written
    pool.delete()
    pool.check_gone()


def test_raid5_that_was_cut_off_while_degraded_and_written_to(site: Site, backend: Backend) -> None:
    """md does not start it by itself: what its parity holds may be wrong."""
    pool = site.made(ONE, TWO, THREE, **backend.options() | {"level": "raid5"})
    pool.until_health("active")
    written = pool.write()
    # Half-written stripes may spoil anything that shares them: only those inside a file of zeros,
    # and nothing of the journal.
    site.output(f"mount -o remount,lazytime {pool.path}")
    site.output(f"dd if=/dev/zero of={pool.path}/more bs=1M count=8 && sync -f {pool.path}")
    site.guest.unplug(ONE)
    pool.until_health("degraded")
    within = "bs=4k seek=512 count=200 conv=notrunc oflag=direct"
    write = f"dd if=/dev/zero of={pool.path}/more {within}"
    site.output(f"(while {write}; do :; done) >/dev/null 2>&1 & sleep 2")
    site.guest.cut()
    site.boot(without=[ONE])
    told = pool.until("error")["errorMessage"]
    assert "written to" in told and "force" in told
    site.refused("POST", f"{pool.url}/mount", status=409, code="CONFLICT")
    site.done("POST", f"{pool.url}/mount", {"force": True, "label": pool.detail()["label"]})
    assert pool.read() == written
    pool.unmount()
    pool.mount()
    assert pool.read() == written
    pool.delete()
