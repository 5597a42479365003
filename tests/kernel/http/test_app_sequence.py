"""The app's real behaviour: its calls, its patience, its re-sends."""

import time
from typing import Any

import pytest

from ..lab.drives import numbered
from . import fields
from .backends import Backend
from .site import Pool, Site
from .tools import replaced_maker

OF_THE_CORE = True
DRIVES = numbered(4, 64 << 20)
ONE, TWO, THREE, FOUR = (drive.serial for drive in DRIVES)
DETAIL_SECONDS, LIST_SECONDS = 5, 10
FIRST_PAUSE, FACTOR, LONGEST_PAUSE, MOST_POLLS = 1.5, 1.5, 30, 60


def poll_like_the_app(pool: Pool) -> dict[str, Any]:
    """At once, then after 1.5 s, and so on, until a state that ends the wait."""
    pause = FIRST_PAUSE
    for _ in range(MOST_POLLS):
        reply = pool.site.call("GET", pool.url, timeout=DETAIL_SECONDS)
        if reply.status_code == 200:
            detail: dict[str, Any] = reply.json()
            if detail["state"] in ("ready", "failed", "error"):
                return detail
            assert detail == {"state": "creating", "poolStatus": None, "drives": []}
        time.sleep(pause)
        pause = min(pause * FACTOR, LONGEST_PAUSE)
    raise AssertionError("60 polls, and no end")


def twice(site: Site, method: str, path: str, body: Any = None) -> list[Any]:
    """A call and its re-send; both must succeed."""
    return [site.done(method, path, body) for _ in range(2)]


def test_sequence(site: Site, backend: Backend) -> None:
    """The five fields the app sends, for the backend and level it gets by that."""
    assert site.call("GET", "/status", headers={"X-Api-Key": ""}).json()["status"] == "Running"
    free = [serial for serial, drive in site.drives().items() if drive["available"]]
    assert {ONE, TWO} <= set(free)
    chosen = {} if backend.name == "mdadm" else backend.options()
    pool = Pool.plan(site, [ONE, TWO], **chosen)
    for _ in range(2):
        reply = site.call("POST", "/pools", pool.request)
        assert reply.status_code == 202
        assert set(reply.json()) == fields.CREATED
        assert reply.headers["location"] == f"/api/v1{pool.url}"
        assert reply.links["monitor"]["url"].startswith("/api/v1/operations/")
    detail = poll_like_the_app(pool)
    fields.check_standing(detail)
    assert detail["state"] == "ready" and detail["poolStatus"] is not None
    pool.check_ready()
    listed = site.call("GET", "/pools/", timeout=LIST_SECONDS).json()
    assert [each["poolGroupGuid"] for each in listed] == [pool.guid]
    lines = pool.outputs()
    assert lines[0].startswith(("$ ", "# ")) and lines == pool.outputs()
    paged = site.get(f"{pool.url}/outputs?offset=1")
    assert paged == {"success": True, "outputs": lines[1:], "nextOffset": len(lines)}

    encoded = pool.path.replace("/", "%2F")
    for path in (f"/mounts/{encoded}", f"/mounts/{encoded.removeprefix('%2F')}"):
        proof = site.get(path)
        assert (proof["poolGroupGuid"], proof["processes"]) == (pool.guid, [])
        assert site.get(f"{path}/processes") == {"processes": []}
        assert site.get(f"{path}/size")["usePercent"].endswith("%")
    written = pool.write()

    for answer in twice(site, "DELETE", f"{pool.url}/mount"):
        assert set(answer) == fields.UNMOUNT and answer["state"] == "unmounted"
    site.refused("GET", f"/mounts/{encoded}", status=404, code="NOT_FOUND")
    for answer in twice(site, "POST", f"{pool.url}/mount", {"mountPath": pool.path}):
        assert set(answer) == fields.MOUNT
        assert (answer["state"], answer["mountPath"]) == ("ready", pool.path)
    elsewhere = {"mountPath": "/mnt/backy/elsewhere"}
    site.refused("POST", f"{pool.url}/mount", elsewhere, status=409, code="CONFLICT")
    assert pool.read() == written

    for answer in twice(site, "DELETE", pool.url):
        assert set(answer) == fields.DELETE and answer["state"] == "deleted"
    pool.check_gone()
    assert pool.detail() == {"state": "deleted", "poolStatus": None, "drives": []}
    assert site.get("/pools") == []
    deleted = site.get("/pools?state=deleted")
    assert pool.guid in [each["poolGroupGuid"] for each in deleted]


def test_a_failure_as_the_app_sees_it(site: Site, backend: Backend) -> None:
    """failed is 200, its outputs are read twice, and its DELETE is re-sent."""
    with replaced_maker(site, backend, "echo the disk is on fire >&2\nexit 1"):
        pool = site.create(ONE, TWO, **backend.options())
        detail = poll_like_the_app(pool)
        assert set(detail) == fields.FAILED and detail["errorMessage"]
        for _ in range(2):
            lines = pool.outputs()
            assert any(line.startswith(f"$ {backend.making}") for line in lines)
            assert "the disk is on fire" in lines
        assert "fire" not in str(pool.detail().get("drives", ""))
        site.check_clean([ONE, TWO])
        assert pool.guid not in site.metadata() and pool.listed() is None
        failed = site.get("/pools?state=failed")
        assert [each["poolGroupGuid"] for each in failed] == [pool.guid]

    # The same GUID again replaces the failed record.
    assert site.call("POST", "/pools", pool.request).status_code == 202
    assert poll_like_the_app(pool)["state"] == "ready"
    twice(site, "DELETE", pool.url)
    pool.check_gone()


def test_asynchronous_calls(site: Site, backend: Backend) -> None:
    pool = site.made(ONE, TWO, **backend.options())
    for method, path, end in (
        ("DELETE", f"{pool.url}/mount", "unmounted"),
        ("POST", f"{pool.url}/mount", "ready"),
        ("DELETE", pool.url, "deleted"),
    ):
        body: dict[str, Any] | None = {} if method == "POST" else None
        reply = site.call(method, path, body, headers={"Prefer": "respond-async"})
        assert reply.status_code == 202, reply.text
        answer = reply.json()
        assert set(answer) == {"success", "operation"}
        operation = f"/operations/{answer['operation']['id']}"
        while site.get(operation)["state"] == "running":
            time.sleep(0.05)
        assert site.get(operation)["state"] == "succeeded"
        assert pool.state() == end
    pool.check_gone()


@pytest.mark.parametrize("pause", [0.1, 0.8])
def test_agent_stopped_in_mid_creation(site: Site, backend: Backend, pause: float) -> None:
    """SIGTERM: the creation ends or is rolled back, and the app's reply ends its wait."""
    pool = site.create(ONE, TWO, **backend.options())
    time.sleep(pause)
    site.restart("stop")
    _check_after_restart(pool, backend)


@pytest.mark.parametrize("pause", [0.05, 0.5, 1.0])
def test_agent_killed_in_mid_creation(site: Site, backend: Backend, pause: float) -> None:
    """SIGKILL: the next start makes it good."""
    pool = site.create(ONE, TWO, **backend.options())
    time.sleep(pause)
    site.restart("kill")
    _check_after_restart(pool, backend)


def _check_after_restart(pool: Pool, backend: Backend) -> None:
    detail = pool.until("ready", "failed")
    if detail["state"] == "failed":
        assert detail["errorMessage"].startswith("The agent restarted while")
    else:
        pool.check_ready()
        pool.delete()
    pool.check_gone()
    assert backend.leftovers(pool.site) == ""
