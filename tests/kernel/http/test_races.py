"""Clients that collide, repeat themselves, or leave."""

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from ..lab.drives import numbered
from .backends import Backend
from .site import Pool, Site

OF_THE_CORE = True
DRIVES = numbered(4, 64 << 20)
ONE, TWO, THREE, FOUR = (drive.serial for drive in DRIVES)
QUICK_SECONDS = 1.0
"""A read; a single one may take twice as long, where guests share too few processors."""


def post_together(site: Site, *pools: Pool) -> list[httpx.Response]:
    """Each creation from a client of its own, all sent at the same moment."""
    barrier = threading.Barrier(len(pools))

    def post(pool: Pool) -> httpx.Response:
        barrier.wait()
        return site.call("POST", "/pools", pool.request)

    with ThreadPoolExecutor(len(pools)) as clients:
        return list(clients.map(post, pools))


def test_two_creations_for_one_drive(site: Site, backend: Backend) -> None:
    for _ in range(3):
        first = Pool.plan(site, [ONE, TWO], **backend.options())
        second = Pool.plan(site, [TWO, THREE], **backend.options())
        replies = post_together(site, first, second)
        assert sorted(reply.status_code for reply in replies) == [202, 409]
        won, lost = (first, second) if replies[0].status_code == 202 else (second, first)
        site.refused("GET", lost.url, status=404, code="NOT_FOUND")
        won.until("ready")
        won.check_ready()
        spare = (set(lost.serials) - set(won.serials)).pop()
        site.check_clean([spare])
        won.delete()
        won.check_gone()


def test_one_mount_path_for_two(site: Site, backend: Backend) -> None:
    first = Pool.plan(site, [ONE], **backend.alone(), mountPath="/mnt/backy/same")
    second = Pool.plan(site, [TWO], **backend.alone(), mountPath="/mnt/backy/same")
    replies = post_together(site, first, second)
    assert sorted(reply.status_code for reply in replies) == [202, 409]
    won = first if replies[0].status_code == 202 else second
    won.until("ready")
    won.delete()
    won.check_gone()


def test_two_creations_side_by_side(site: Site, backend: Backend) -> None:
    first = Pool.plan(site, [ONE, TWO], **backend.options())
    second = Pool.plan(site, [THREE, FOUR], **backend.options())
    assert [reply.status_code for reply in post_together(site, first, second)] == [202, 202]
    for pool in (first, second):
        pool.until("ready")
        pool.check_ready()
    with ThreadPoolExecutor(2) as clients:
        list(clients.map(Pool.delete, (first, second)))
    for pool in (first, second):
        pool.check_gone()


def test_the_same_creation_again(site: Site, backend: Backend) -> None:
    """At once, while it runs, and when it is done: one pool, and the same reply each time."""
    pool = Pool.plan(site, [ONE, TWO], **backend.options())
    replies = post_together(site, pool, pool, pool)
    while pool.state() == "creating":
        replies.append(site.call("POST", "/pools", pool.request))
        changed = {**pool.request, "label": "another"}
        site.refused("POST", "/pools", changed, status=409, code="CONFLICT")
    pool.until("ready")
    made = pool.detail()["createdAt"]
    replies.append(site.call("POST", "/pools", pool.request))
    assert {reply.status_code for reply in replies} == {202}, [reply.text for reply in replies]
    assert {reply.headers["location"] for reply in replies} == {f"/api/v1{pool.url}"}
    assert len({reply.text for reply in replies}) == 1
    pool.check_ready()
    assert pool.detail()["createdAt"] == made
    operations = [o for o in site.get("/operations") if o["poolGroupGuid"] == pool.guid]
    assert [o["kind"] for o in operations] == ["create"], "one job"
    pool.unmount()
    assert site.call("POST", "/pools", pool.request).status_code == 202
    assert pool.state() == "unmounted"
    pool.delete()
    pool.check_gone()


@pytest.mark.parametrize("patience", [0.02, 0.3])
def test_client_leaves(site: Site, backend: Backend, patience: float) -> None:
    """In mid-create and mid-delete; the work goes on as if it were watched."""
    pool = Pool.plan(site, [ONE, TWO], **backend.options())
    with contextlib.suppress(httpx.TimeoutException):
        site.call("POST", "/pools", pool.request, timeout=patience)
    reply = site.call("POST", "/pools", pool.request)
    assert reply.status_code == 202, reply.text
    pool.until("ready")
    pool.check_ready()

    with pytest.raises(httpx.TimeoutException):
        site.call("DELETE", pool.url, timeout=patience)
    answer = pool.delete()
    assert answer["state"] == "deleted"
    pool.check_gone()


def test_reads_stay_quick_while_it_runs(site: Site, backend: Backend) -> None:
    pool = site.create(ONE, TWO, THREE, **backend.options())
    *others, slowest = _reads(site, pool)
    assert others[-1] < QUICK_SECONDS and slowest < 2 * QUICK_SECONDS, (others[-5:], slowest)
    pool.until("ready")
    pool.delete()
    pool.check_gone()


def _reads(site: Site, pool: Pool) -> list[float]:
    """How long each read took until the creation had ended, in seconds, the longest last."""
    took = []
    while pool.state() == "creating":
        for path in (pool.url, "/pools", "/drives", f"{pool.url}/outputs", "/operations"):
            began = time.monotonic()
            reply = site.call("GET", path)
            took.append(time.monotonic() - began)
            assert reply.status_code == 200
    return sorted(took)


def test_delete_of_a_creation_that_runs(site: Site, backend: Backend) -> None:
    """The creation is cancelled at a safe point, rolled back, and gone."""
    for pause in (0.0, 0.2, 0.5):
        pool = site.create(ONE, TWO, **backend.options())
        time.sleep(pause)
        answer = pool.delete()
        assert answer["state"] == "deleted"
        pool.check_gone()
        assert backend.leftovers(site) == ""


def test_cancel_of_an_operation(site: Site, backend: Backend) -> None:
    pool = Pool.plan(site, [ONE, TWO], **backend.options())
    reply = site.call("POST", "/pools", pool.request)
    operation = reply.links["monitor"]["url"].removeprefix("/api/v1")
    running = site.get(operation)
    assert set(running) == {
        *("id", "kind", "poolGroupGuid", "state", "progress", "startedAt", "finishedAt"),
        *("errorMessage", "agentInstance"),
    }
    assert set(running["progress"]) == {"step", "steps", "title", "percent"}
    site.call("POST", f"{operation}/cancel")
    detail = pool.until("failed", "ready")
    assert detail["state"] == "failed", "it takes a second at least"
    assert site.get(operation)["state"] == "cancelled"
    site.check_clean([ONE, TWO])
    again = site.call("POST", "/pools", pool.request)
    assert again.status_code == 202, "the GUID of a failed record may be used again"
    pool.until("ready")
    pool.check_ready()
    pool.delete()
    pool.check_gone()


def test_unmount_against_delete(site: Site, backend: Backend) -> None:
    """Different calls on one pool: one at a time, and the other is told so."""
    pool = site.made(ONE, TWO, **backend.options())
    barrier = threading.Barrier(2)

    def send(path: str) -> int:
        barrier.wait()
        return site.call("DELETE", path).status_code

    with ThreadPoolExecutor(2) as clients:
        replies = list(clients.map(send, (f"{pool.url}/mount", pool.url)))
    assert 200 in replies and set(replies) <= {200, 409, 404}, replies
    pool.delete()
    pool.check_gone()
