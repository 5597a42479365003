"""The agent killed while it mounts, unmounts, deletes, or adds a drive.

One guest, and for each moment: arm it, start the operation, let the agent die and come back, and
look at what it made of it.
"""

from ..lab.drives import numbered
from . import crashes
from .backends import Backend
from .crashes import COMMITTED, arm, await_crash, send, send_again
from .site import Site

GUEST = crashes.GUEST
OF_THE_CORE = True
DRIVES = numbered(3, 64 << 20, faults=True)
ONE, TWO, THREE = (drive.serial for drive in DRIVES)


def test_mount(site: Site, backend: Backend) -> None:
    """Back to unmounted before its commit, mounted after it."""
    pool = site.made(ONE, TWO, **backend.options())
    written = pool.write()
    for moment in crashes.moments(
        "before done 1",
        "before commit 1",
        "after commit 1",
        more=("after opened 1", "before done 2", *COMMITTED[1:]),
    ):
        pool.unmount()
        arm(site, f"open {moment}")
        send(site, "POST", f"{pool.url}/mount", {})
        await_crash(site)
        expected = "ready" if moment in COMMITTED else "unmounted"
        assert (moment, pool.state()) == (moment, expected)
        assert pool.mounted() is (expected == "ready"), moment
        assert (backend.leftovers(site) == "") is (expected == "unmounted"), moment
        pool.mount()
        assert pool.read() == written
    pool.delete()
    pool.check_gone()


def test_unmount(site: Site, backend: Backend) -> None:
    """Always forward: a pool being shelved is shelved."""
    pool = site.made(ONE, TWO, **backend.options())
    written = pool.write()
    for moment in crashes.moments(
        "before done 1", "before closed 1", more=("after opened 1", "before done 2")
    ):
        arm(site, f"close {moment}")
        send(site, "DELETE", f"{pool.url}/mount")
        again = send_again(site, "DELETE", f"{pool.url}/mount")
        assert (moment, again.status_code) == (moment, 200), again.text
        await_crash(site)
        assert (moment, pool.state()) == (moment, "unmounted")
        assert not pool.mounted() and backend.leftovers(site) == "", moment
        pool.mount()
        assert pool.read() == written
    pool.delete()
    pool.check_gone()


def test_delete(site: Site, backend: Backend) -> None:
    """Always forward: nothing of the pool is left."""
    for moment in crashes.moments(
        *("after opened 1", "before done 3", "after commit 1"),
        more=(*(f"before done {number}" for number in (1, 2, 4, 5)), *COMMITTED[1:]),
    ):
        pool = site.made(ONE, TWO, **backend.options())
        arm(site, f"teardown {moment}")
        send(site, "DELETE", pool.url)
        again = send_again(site, "DELETE", pool.url)
        assert (moment, again.status_code) in ((moment, 200), (moment, 404)), again.text
        await_crash(site)
        state = site.call("GET", pool.url).json().get("state")
        assert (moment, state) in ((moment, None), (moment, "deleted"))
        pool.check_gone()
        assert backend.leftovers(site) == "", moment


def test_add_drive(site: Site, backend: Backend) -> None:
    """A replacement that was begun: back, or forward; either way the pool can be completed."""
    pool = site.made(ONE, TWO, **backend.options())
    written = pool.write()
    lost, spare = TWO, THREE
    for moment in crashes.moments(
        *("after begun 1", "before done 1", "after commit 1"),
        more=("after opened 1", "before commit 1", *COMMITTED[1:]),
    ):
        pool.until_health("active")
        backend.fail(pool, lost)
        pool.until_health("degraded")
        body = {"serial": spare, "replaces": lost, "wipe": True}
        arm(site, f"add {moment}")
        send(site, "POST", f"{pool.url}/drives/add", body)
        await_crash(site)
        assert pool.state() == "ready", moment
        if pool.members().get(spare) not in ("active", "rebuilding"):
            site.done("POST", f"{pool.url}/drives/add", body)
        detail = pool.until_health("active")
        members = {drive["serial"] for drive in detail["drives"] if drive["status"] == "active"}
        assert members == {ONE, spare} == set(site.metadata()[pool.guid]["driveSerials"]), moment
        assert pool.read() == written
        lost, spare = spare, lost
    site.wipe_leftover(spare, **backend.alone())
    pool.delete()
    site.check_clean([ONE, TWO, THREE])
