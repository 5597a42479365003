"""Keys with scopes, and the audit log, through restarts of a real agent."""

import json
from typing import Any

from ..lab.drives import numbered
from .backends import Backend
from .site import Site

OF_THE_CORE = True
STATE = "/var/lib/backy"
DRIVES = numbered(2, 64 << 20)
SERIALS = [drive.serial for drive in DRIVES]


def status(site: Site, secret: str, method: str, path: str) -> int:
    return site.call(method, path, headers={"X-Api-Key": secret}).status_code


def audit(site: Site) -> list[dict[str, Any]]:
    return [json.loads(line) for line in site.output(f"cat {STATE}/audit.log").splitlines()]


def test_a_key_lives_through_restarts_and_leaves_its_marks(site: Site, backend: Backend) -> None:
    pool = site.made(*SERIALS, **backend.options())
    made = site.done("POST", "/keys", {"name": "shelf", "scope": "operate"})
    secret = made["secret"]
    assert site.call("DELETE", pool.url, headers={"X-Api-Key": secret}).json()["error"] == {
        "code": "INSUFFICIENT_SCOPE",
        "message": "This call needs a key of scope admin; the scope of this one is operate",
    }
    site.restart("kill")
    pool.until("ready")
    assert status(site, secret, "DELETE", f"{pool.url}/mount") == 200
    assert status(site, secret, "POST", f"{pool.url}/mount") == 200

    rotated = site.done("POST", "/keys/shelf/rotate")["secret"]
    assert status(site, secret, "GET", "/pools") == 401
    assert status(site, rotated, "GET", "/pools") == 200
    site.restart("stop")
    assert status(site, secret, "GET", "/pools") == 401
    assert status(site, rotated, "GET", "/pools") == 200
    site.done("DELETE", "/keys/shelf")
    assert status(site, rotated, "GET", "/pools") == 401

    pool.until("ready")
    pool.delete()
    lines = audit(site)
    calls = [(line.get("key"), line["outcome"]) for line in lines if line["event"] == "call"]
    assert calls.count(("shelf", "refused")) == 1 and calls.count(("shelf", "done")) == 2
    ends = {line["operation"]: line["outcome"] for line in lines if line["event"] == "operation"}
    by_calls = [
        line["operation"] for line in lines if line["event"] == "call" and "operation" in line
    ]
    assert len(by_calls) == 4 and {ends[operation] for operation in by_calls} == {"succeeded"}
    text = site.output(f"cat {STATE}/audit.log {STATE}/keys.json")
    assert secret not in text and rotated not in text and site.guest.api_key not in text
    pool.check_gone()
