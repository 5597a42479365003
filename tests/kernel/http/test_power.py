"""Power cuts and reboots: ready pools are ready again, operations are rolled back or finished."""

import contextlib
import time

import httpx
import pytest

from ..lab.drives import numbered
from .backends import Backend
from .crashes import ROLLED_BACK
from .machine import METADATA_FILE
from .site import LOOK_SECONDS, PATIENCE, Pool, Site

OF_THE_CORE = True
DRIVES = numbered(5, 64 << 20)
GUEST = {"env": {"BACKY_OPEN_WAIT_S": "4"}}
"""How long a late drive is waited for at the start."""
ONE, TWO, THREE, FOUR, FIVE = (drive.serial for drive in DRIVES)


def leave(site: Site, method: str, path: str, body: object, patience: float) -> None:
    """Send a call and go away after `patience` seconds."""
    with contextlib.suppress(httpx.TransportError):
        site.call(method, path, body, timeout=max(patience, 0.01))


def until_answered(pool: Pool) -> dict[str, object]:
    """The detail once it is neither creating nor on its way to being mounted."""
    deadline = time.monotonic() + PATIENCE
    while (detail := pool.detail())["state"] in ("creating", "unmounted"):
        assert time.monotonic() < deadline, detail
        time.sleep(0.1)
    return detail


@pytest.mark.parametrize("seconds", [0.3, 1.0])
def test_cut_in_mid_creation(site: Site, backend: Backend, seconds: float) -> None:
    pool = site.create(ONE, TWO, **backend.options())
    time.sleep(seconds)
    site.guest.cut()
    site.boot()
    detail = until_answered(pool)
    if detail["state"] == "failed":
        assert detail == {"state": "failed", "errorMessage": ROLLED_BACK}
    else:
        pool.check_ready()
        pool.delete()
    pool.check_gone()
    assert backend.leftovers(site) == ""


def test_cut_in_mid_teardown(site: Site, backend: Backend) -> None:
    pool = site.made(ONE, TWO, **backend.options())
    leave(site, "DELETE", pool.url, None, 0.4)
    while not site.journal() and pool.guid in site.metadata():
        time.sleep(LOOK_SECONDS)  # it has not begun yet
    site.guest.cut()
    site.boot()
    deadline = time.monotonic() + PATIENCE
    while not all(site.drives()[serial]["available"] for serial in (ONE, TWO)):
        assert time.monotonic() < deadline  # the pool is gone before its recovery has ended
        time.sleep(0.1)
    pool.check_gone()
    assert backend.leftovers(site) == ""


def test_reboots(site: Site, backend: Backend) -> None:
    """Orderly and by power cut, drives renumbered each time: identity alone counts."""
    mounted = site.made(ONE, TWO, **backend.options())
    shelved = site.made(THREE, FOUR, **backend.options())
    written = {pool.guid: pool.write() for pool in (mounted, shelved)}
    shelved.unmount()

    site.guest.down()
    site.boot([FIVE, FOUR, THREE, TWO, ONE])
    _check_after_boot(mounted, shelved, written)
    new = mounted.write()
    site.guest.cut()
    site.boot([TWO, THREE, FIVE, ONE, FOUR])
    _check_after_boot(mounted, shelved, {**written, mounted.guid: new})

    shelved.mount()
    shelved.check_ready()
    assert shelved.read() == written[shelved.guid]
    for pool in (mounted, shelved):
        pool.delete()
        pool.check_gone()


def _check_after_boot(mounted: Pool, shelved: Pool, written: dict[str, str]) -> None:
    until_answered(mounted)
    mounted.check_ready()
    assert mounted.read() == written[mounted.guid]
    assert shelved.state() == "unmounted" and not shelved.mounted()
    assert shelved.site.get("/pools/importable") == []


def test_boot_without_a_member(site: Site, backend: Backend) -> None:
    """It is not opened by itself; asked to, it opens degraded, and from then on by itself too."""
    pool = site.made(ONE, TWO, **backend.options())
    written = pool.write()
    pool.until_health("active")
    site.guest.cut()
    site.boot(without=[TWO])
    detail = pool.until("error", "ready")
    assert detail["state"] == "error", "a member is missing that was there the last time"
    assert TWO in detail["errorMessage"] and not pool.mounted()
    assert pool.members()[TWO] == "disconnected"

    pool.mount()
    detail = pool.detail()
    assert (detail["state"], detail["poolStatus"]) == ("ready", "degraded")
    assert pool.read() == written
    degraded = pool.write()

    site.guest.cut()
    site.boot(without=[TWO])
    assert until_answered(pool)["state"] == "ready", "degraded is how it was the last time"
    assert pool.read() == degraded

    site.guest.down()
    site.boot([TWO, ONE, THREE, FOUR, FIVE])
    assert until_answered(pool)["state"] == "ready"
    assert pool.read() == degraded
    # udev's `mdadm --incremental` may have taken it back already, by the bitmap.
    site.done("POST", f"{pool.url}/drives/add", {"serial": TWO})
    pool.until_health("active")
    pool.unmount()
    site.guest.unplug(ONE)
    pool.mount()
    assert pool.read() == degraded, "the returned member was brought up to date"
    site.guest.plug(ONE)
    pool.delete()
    pool.check_gone()


def test_a_member_that_comes_after_the_wait(site: Site, backend: Backend) -> None:
    """It is named until then, and the pool opens by itself."""
    pool = site.made(ONE, TWO, **backend.options())
    written = pool.write()
    pool.until_health("active")
    pool.unmount()
    site.guest.agent("stop")
    site.output(f"""sed -i 's/"isMounted": false/"isMounted": true/' {METADATA_FILE}""")
    site.guest.unplug(TWO)
    site.guest.agent("start")
    detail = pool.until("error", "ready")
    assert detail["state"] == "error" and TWO in detail["errorMessage"], detail
    site.guest.plug(TWO)
    detail = pool.until("ready")
    assert "errorMessage" not in detail and pool.read() == written
    pool.until_health("active")
    pool.delete()
    pool.check_gone()


def test_delete_with_a_member_away(site: Site, backend: Backend) -> None:
    """The drive is not forgotten: named, refused when it returns, and wiped when asked to."""
    pool = site.made(ONE, TWO, **backend.options())
    site.guest.unplug(TWO)
    pool.until_health("degraded")
    answer = pool.delete()
    assert TWO in answer["message"]
    site.check_clean([ONE])

    site.plug(TWO)
    assert not site.drives()[TWO]["available"], "what is left of the pool is still on it"
    site.restart("stop")
    site.refused("POST", "/pools", pool.request, status=409, code="CONFLICT")
    pool.delete()
    pool.check_gone()
    site.refused("DELETE", f"{pool.url}/mount", status=404, code="NOT_FOUND")
