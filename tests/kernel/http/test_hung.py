"""A device that does not answer holds up nobody but those who ask about it."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from ..lab.drives import Drive, numbered
from .backends import MDADM, Backend
from .site import Pool, Site

BACKENDS = (MDADM,)
DRIVES = [Drive("asleep", 64 << 20, faults=True), *numbered(4, 64 << 20)]
ONE, TWO, THREE, FOUR = (drive.serial for drive in DRIVES[1:])
QUESTIONS = 50
BOUND_S = 60.0
MAPPED = "lab-0"
"""What lies below the first drive."""


@contextmanager
def suspended(site: Site, *devices: str) -> Iterator[None]:
    """These devices answer nothing, and nothing of them is in memory."""
    site.output("sync; echo 3 >/proc/sys/vm/drop_caches")
    for device in devices:
        site.output(f"dmsetup suspend --noflush --nolockfs {device}")
    try:
        yield
    finally:
        for device in devices:
            site.output(f"dmsetup resume --noudevsync {device}")


def test_a_creation_goes_on_while_questions_hang(site: Site, backend: Backend) -> None:
    asleep = site.made("asleep", **backend.alone())
    node = site.drives()[THREE]["path"]
    site.output(
        f'dmsetup create cold --table "0 $(blockdev --getsz {node}) linear {node} 0"'
        " && mkfs.ext4 -qF /dev/mapper/cold && mkdir -p /srv/cold"
        " && mount /dev/mapper/cold /srv/cold && mkdir -p /srv/cold/deep/er"
        " && umount /srv/cold && mount /dev/mapper/cold /srv/cold"
    )

    def ask(number: int) -> int:
        mount = f"/mounts/{asleep.path.replace('/', '%2F')}"
        below = Pool.plan(site, [FOUR], mountPath=f"/srv/cold/deep/er/{number}", **backend.alone())
        method, path, body = (
            ("POST", "/pools?dryRun=true", below.request),
            ("GET", asleep.url, None),
            ("GET", f"{mount}/size", None),
            ("GET", f"{mount}/processes", None),
            ("GET", f"{asleep.url}/processes", None),
        )[number % 5]
        return site.call(method, path, body).status_code

    with ThreadPoolExecutor(QUESTIONS) as askers:
        with suspended(site, MAPPED, "cold"):
            asked = [askers.submit(ask, number) for number in range(QUESTIONS)]
            time.sleep(1)
            assert not all(each.done() for each in asked), "some hang"
            began = time.monotonic()
            pool = site.made(ONE, TWO, **backend.options())
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
