"""The life of zpools through a whole agent: the same on zfs-fuse and on OpenZFS.

``Site`` is a guest with the agent in it. Each life leaves its drives blank.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any, Protocol


class Site(Protocol):
    """A guest with the agent, as a life uses it. ``drives`` are serials, four at least."""

    drives: tuple[str, ...]
    fuse: bool
    """zfs-fuse replaces what was pulled from under it only once the pool was opened again."""

    def request(self, method: str, path: str, body: Any = None) -> Any: ...
    def sh(self, script: str) -> str: ...
    def unplug(self, serial: str) -> None: ...
    def plug(self, serial: str) -> None: ...
    def agent(self, verb: str) -> None: ...


class Pool:
    """One pool of a site, by the API alone."""

    def __init__(self, site: Site, level: str, serials: tuple[str, ...]) -> None:
        self.site = site
        self.guid = str(uuid.uuid4())
        self.name = f"backy-{self.guid}"
        self.path = f"/mnt/backy/{self.guid}"
        body = {
            "label": "cold, one",
            "driveSerials": list(serials),
            "driveLabels": {},
            "mountPath": self.path,
            "poolGroupGuid": self.guid,
            "backend": "zfs",
            "level": level,
        }
        status, reply = site.request("POST", "/api/v1/pools", body)
        assert status == 202, reply

    def ready(self) -> Pool:
        self.until(lambda seen: seen["state"] != "creating")
        assert self.detail()["state"] == "ready", self.outputs()
        return self

    def detail(self) -> Any:
        return self.site.request("GET", f"/api/v1/pools/{self.guid}")[1]

    def outputs(self) -> Any:
        return self.site.request("GET", f"/api/v1/pools/{self.guid}/outputs")[1]

    def until(self, check: Callable[[Any], bool], seconds: float = 400) -> Any:
        deadline = time.monotonic() + seconds
        while not check(seen := self.detail()):
            assert time.monotonic() < deadline, (seen, self.outputs())
            time.sleep(0.5)
        return seen

    def call(self, method: str, path: str, body: Any = None, expect: int = 200) -> Any:
        status, reply = self.site.request(method, f"/api/v1/pools/{self.guid}{path}", body)
        assert status == expect, (method, path, reply, self.outputs())
        return reply

    def mount(self, path: str | None = None) -> None:
        assert self.call("POST", "/mount", {"mountPath": path})["state"] == "ready"

    def unmount(self) -> None:
        self.call("DELETE", "/mount")
        assert self.name not in self.site.sh("zpool list -H -o name; cat /proc/self/mountinfo")

    def delete(self) -> None:
        self.call("DELETE", "")
        assert self.name not in self.site.sh("zpool list -H -o name; cat /proc/self/mountinfo")
        assert self.detail()["state"] == "deleted"

    def members(self) -> dict[str, str]:
        return {drive["serial"]: drive["status"] for drive in self.detail()["drives"]}


def available(site: Site) -> dict[str, bool]:
    listed = site.request("GET", "/api/v1/drives")[1]["blockdevices"]
    return {drive["serial"]: drive["available"] for drive in listed}


def whole(site: Site) -> None:
    """Made, filled, busy, unmounted, mounted elsewhere, crashed under, deleted."""
    one, two, three, _ = site.drives[:4]
    pool = Pool(site, "raid1", (one, two)).ready()
    seen = pool.detail()
    assert (seen["level"], seen["filesystem"], seen["poolStatus"]) == ("mirror", "zfs", "active")
    assert seen["size"] > 100 << 20 and seen["usePercent"].endswith("%")
    mounted = site.sh(f"grep ' {pool.path} ' /proc/self/mountinfo")
    assert "nosuid" in mounted and "nodev" in mounted and "zfs" in mounted
    site.sh(f"echo kept > {pool.path}/file; sync")
    assert not available(site)[one] and available(site)[three]
    site.sh(f"(cd {pool.path} && exec sleep 600) >/dev/null 2>&1 & echo $! >/tmp/pid; sleep 0.3")
    busy = pool.call("DELETE", "/mount", expect=409)
    assert busy["busy"] and "target is busy" in busy["error"]["message"]
    site.sh("kill $(cat /tmp/pid); sleep 0.5")
    pool.unmount()
    assert pool.members() == {one: "active", two: "active"}
    pool.mount(f"{pool.path}-b")
    assert site.sh(f"cat {pool.path}-b/file") == "kept\n"
    site.agent("kill")
    site.agent("start")
    assert pool.until(lambda seen: seen["state"] == "ready")["mountPath"] == f"{pool.path}-b"
    pool.delete()
    assert all(available(site)[serial] for serial in (one, two, three))


def members(site: Site) -> None:
    """Pulled, replaced, returned, exchanged; each time the data is there."""
    one, two, three, four = site.drives[:4]
    pool = Pool(site, "mirror", (one, two)).ready()
    site.sh(f"dd if=/dev/urandom of={pool.path}/file bs=1M count=20 2>/dev/null; sync")
    before = site.sh(f"md5sum {pool.path}/file")
    pool.unmount()
    site.unplug(two)
    pool.mount()
    assert pool.detail()["poolStatus"] == "degraded"
    assert pool.members() == {one: "active", two: "disconnected"}
    site.plug(two)
    pool.until(lambda seen: pool.members()[two] == "stale")
    pool.call("POST", "/drives/add", {"serial": two})
    pool.until(lambda seen: seen["poolStatus"] == "active")
    assert pool.members() == {one: "active", two: "active"}
    pool.call("POST", "/drives/add", {"serial": three, "replaces": one})
    pool.until(lambda seen: seen["poolStatus"] == "active")
    assert pool.members() == {two: "active", three: "active"}
    site.unplug(two)
    site.sh(f"echo more > {pool.path}/more; sync")
    pool.until(lambda seen: seen["poolStatus"] == "degraded")
    if site.fuse:
        pool.unmount()
        pool.mount()
    pool.call("POST", "/drives/add", {"serial": four})
    pool.until(lambda seen: seen["poolStatus"] == "active")
    assert site.sh(f"md5sum {pool.path}/file") == before
    assert pool.members() == {three: "active", four: "active"}
    site.plug(two)
    pool.delete()
    assert available(site) == dict.fromkeys(site.drives, True), site.request(
        "GET", "/api/v1/drives"
    )


def levels(site: Site) -> None:
    """Every level is made, closed, found by its labels alone, and leaves blank drives."""
    for level, count in (("single", 1), ("stripe", 2), ("raidz1", 3), ("raidz2", 4)):
        pool = Pool(site, level, site.drives[:count]).ready()
        pool.unmount()
        assert pool.detail()["level"] == level
        assert pool.members() == dict.fromkeys(site.drives[:count], "active")
        site.request("DELETE", f"/api/v1/pools/metadata/{pool.guid}")
        (found,) = site.request("GET", "/api/v1/pools/importable")[1]
        assert (found["poolGroupGuid"], found["level"]) == (pool.guid, level)
        pool.call("POST", "/import", {"label": "again"})
        pool.mount()
        pool.delete()
        assert all(available(site)[serial] for serial in site.drives)


def interrupted(site: Site) -> None:
    """The agent is killed while it makes a pool: nothing is left of it."""
    pool = Pool(site, "mirror", site.drives[:2])
    site.sh(f"until zpool list {pool.name} >/dev/null 2>&1; do :; done")
    site.agent("kill")
    site.agent("start")
    seen = pool.until(lambda seen: seen["state"] != "creating")
    assert seen["state"] == "failed" and "restarted" in seen["errorMessage"], seen
    assert pool.name not in site.sh("zpool list -H -o name")
    assert all(available(site)[serial] for serial in site.drives)
