"""A device that does not answer delays only requests about itself."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from ..lab.drives import Drive, numbered
from .backends import MDADM, Backend
from .site import Pool, Site

BACKENDS = (MDADM,)
DRIVES = [Drive("asleep", 64 << 20, faults=True), *numbered(4, 64 << 20)]
ASLEEP, ONE, TWO, THREE, FOUR = (drive.serial for drive in DRIVES)
QUESTIONS = 50
BOUND_S = 60.0
ATTEMPTS, LOOKS = 6, 8
READER = "cat /proc/mdstat </dev/null >/dev/null 2>&1 & sleep 2; grep State:.D /proc/$!/status"
"""Succeeds if it waits."""
MAPPED = "lab-0"
"""What lies below the first drive."""


@contextmanager
def suspended(site: Site, *devices: str) -> Iterator[None]:
    """These devices answer nothing."""
    for device in devices:
        site.output(f"dmsetup suspend --noflush --nolockfs {device}")
    try:
        yield
    finally:
        for device in devices:
            site.output(f"dmsetup resume --noudevsync {device}")


@contextmanager
def waiting_for_a_bitmap(site: Site, pool: Pool) -> Iterator[None]:
    """md waits to clear what the bitmap has of a write, and every reader of mdstat waits for md. If
    it had to write a superblock before that, it waits there and holds up nobody: again then."""
    clean = f"grep -q clean /sys/block/{pool.detail()['poolId']}/md/array_state"
    for _ in range(ATTEMPTS):
        pool.write()
        site.output(f"sync; until {clean}; do sleep 0.1; done")
        with suspended(site, MAPPED):
            if any(site.run(READER).rc == 0 for _ in range(LOOKS)):
                yield
                return
    raise AssertionError("mdstat answers each time")


def test_a_creation_goes_on_while_questions_hang(site: Site, backend: Backend) -> None:
    asleep = site.made(ASLEEP, FOUR, **{**backend.options(), "level": "raid0"})
    node = site.drives()[THREE]["path"]
    site.output(
        f'dmsetup create cold --table "0 $(blockdev --getsz {node}) linear {node} 0"'
        " && mkfs.ext4 -qF /dev/mapper/cold && mkdir -p /srv/cold"
        " && mount /dev/mapper/cold /srv/cold && mkdir -p /srv/cold/deep/er"
        " && umount /srv/cold && mount /dev/mapper/cold /srv/cold"
    )

    def ask(number: int) -> int:
        mount = f"/mounts/{asleep.path.replace('/', '%2F')}"
        below = Pool.plan(site, [TWO], mountPath=f"/srv/cold/deep/er/{number}", **backend.alone())
        method, path, body = (
            ("POST", "/pools?dryRun=true", below.request),
            ("GET", asleep.url, None),
            ("GET", f"{mount}/size", None),
            ("GET", f"{mount}/processes", None),
            ("GET", f"{asleep.url}/processes", None),
        )[number % 5]
        return site.call(method, path, body).status_code

    site.output("sync; echo 3 >/proc/sys/vm/drop_caches")  # nothing of them is in memory
    with ThreadPoolExecutor(QUESTIONS) as askers:
        with suspended(site, MAPPED, "cold"):
            asked = [askers.submit(ask, number) for number in range(QUESTIONS)]
            time.sleep(1)
            assert not all(each.done() for each in asked), "some hang"
            began = time.monotonic()
            pool = site.made(ONE, **backend.alone())
            pool.write()
            assert time.monotonic() - began < BOUND_S * site.guest.slower
            assert site.call("GET", "/pools", timeout=10).status_code == 200
        answers = [each.result(timeout=BOUND_S) for each in asked]
    assert set(answers) <= {200, 400, 404}, answers
    asleep.check_ready()
    pool.delete()
    asleep.delete()
    site.output("umount /srv/cold; dmsetup remove cold; rmdir /srv/cold; wipefs -qa " + node)
    site.done("POST", "/drives/refresh")
    pool.check_gone()


def test_pools_are_seen_while_a_mirror_waits_for_its_drive(site: Site, backend: Backend) -> None:
    """Linux then lets nobody read /proc/mdstat (findings/mdstat-waits-for-a-bitmap.sh). mdadm reads
    it too, so a creation with md waits as well, until the drive answers."""
    asleep = site.made(ASLEEP, ONE, **backend.options())
    pool = site.made(TWO, THREE, **backend.options())
    written = pool.write()
    with waiting_for_a_bitmap(site, asleep):
        site.unplug(THREE)
        pool.until_health("degraded", within=BOUND_S)
        assert {pool["poolGroupGuid"] for pool in site.get("/pools")} == {asleep.guid, pool.guid}
        assert asleep.detail()["state"] == "ready"
        waiting = site.create(FOUR, **backend.alone())
        assert waiting.detail()["state"] == "creating"
        assert pool.read() == written
    waiting.until("ready")
    site.plug(THREE)
    for each in (asleep, pool, waiting):
        each.delete()
        each.check_gone()
