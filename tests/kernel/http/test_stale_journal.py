"""A journal that is older than the pool it speaks of erases nothing."""

import time

from ..lab.drives import numbered
from . import crashes, crashing_agent
from .backends import Backend
from .crashes import arm, await_crash
from .site import LOOK_SECONDS, Pool, Site

GUEST = crashes.GUEST
OF_THE_CORE = True
DRIVES = numbered(2, 64 << 20)
ONE, TWO = (drive.serial for drive in DRIVES)
STATE, COPY = crashing_agent.STATE, crashing_agent.COPY


def made_with_a_copy(site: Site, backend: Backend, moment: str) -> tuple[Pool, str]:
    """A pool with a file, whose checksum is told, and a copy of the state from its creation."""
    site.output(f"rm -rf {COPY}")
    arm(site, f"create {moment} copy")
    pool = site.made(ONE, TWO, **backend.options())
    await_crash(site)
    return pool, pool.write()


def restored(site: Site) -> None:
    """The agent starts on the copy of its state."""
    site.guest.agent("stop")
    site.output(f"rm -rf {STATE}/*; cp -a {COPY}/. {STATE}; ls {STATE}/journal/*.jsonl")
    site.guest.agent("start")


def check_asked(site: Site, pool: Pool) -> str:
    """It is not erased, not offered for another pool, and both ways out are named."""
    while (detail := pool.detail())["state"] == "creating":
        time.sleep(LOOK_SECONDS)
    assert detail["state"] == "failed", detail
    words: str = detail["errorMessage"]
    assert f"/pools/{pool.guid}/import" in words and "?wipe=true" in words
    assert all(site.look().drives.values()), "their stamps are there"
    assert not any(drive["available"] for drive in site.drives().values())
    return words


def test_state_restored_from_a_copy_of_the_creation(site: Site, backend: Backend) -> None:
    """The copy knows of no filesystem, and the machine boots: the pool has to be opened to see."""
    pool, written = made_with_a_copy(site, backend, "after begun 2")
    restored(site)
    check_asked(site, pool)
    assert pool.read() == written, "it stays mounted"
    site.output("sync")
    site.guest.cut()
    site.boot()
    check_asked(site, pool)
    assert [pool["poolGroupGuid"] for pool in site.get("/pools/importable")] == [pool.guid]
    site.done("POST", f"{pool.url}/import", {"label": "kept"})
    assert site.journal() == []
    pool.mount()
    assert pool.read() == written
    site.restart()
    pool.until("ready")
    assert pool.read() == written
    pool.delete()
    pool.check_gone()


def test_erasing_what_was_kept_takes_consent(site: Site, backend: Backend) -> None:
    pool, written = made_with_a_copy(site, backend, "before commit 1")
    restored(site)
    assert "'data'" in check_asked(site, pool)
    site.refused("DELETE", pool.url, status=409, code="CONFLICT")
    assert pool.read() == written
    answer = site.done("DELETE", f"{pool.url}?wipe=true")
    assert answer["state"] == "deleted"
    pool.check_gone()


def test_nothing_comes_between_the_agent_and_its_files(site: Site, backend: Backend) -> None:
    """Neither what the API is asked to mount there, nor what somebody mounts there by hand."""
    site.output(f"mkdir /srv/names; mount --bind {STATE} /srv/names")
    site.output("mkdir -p /run/backy; ln -s /var/lib /srv/link")
    for path in (
        *(STATE, f"{STATE}/journal", f"{STATE}/new/pool", "/var/lib", "/run/backy/pool"),
        *("/srv/names/journal", "/srv/names/journal/x", "/srv/link/backy/x"),
    ):
        wanted = Pool.plan(site, [ONE, TWO], **backend.options(), mountPath=path)
        site.refused("POST", "/pools", wanted.request, status=400, code="VALIDATION_ERROR")
    site.output("umount /srv/names; rmdir /srv/names; rm /srv/link")

    site.output(f"mount -t tmpfs none {STATE}/journal; mount -t tmpfs none {STATE}")
    pool = site.made(ONE, TWO, **backend.options())
    written = pool.write()
    pool.unmount()
    elsewhere = {"mountPath": f"{STATE}/x"}
    site.refused("POST", f"{pool.url}/mount", elsewhere, status=400, code="VALIDATION_ERROR")
    pool.mount()
    site.guest.agent("kill")
    site.output(f"umount {STATE}; umount {STATE}/journal")
    site.guest.agent("start")
    pool.until("ready")
    pool.check_ready()
    assert pool.read() == written and site.journal() == []
    pool.delete()
    pool.check_gone()
