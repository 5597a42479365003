"""Lives of LVM pools on a real kernel: the whole agent in a lab guest, over HTTP."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.availability import required, why_unavailable
from tests.kernel.lab.agent import AgentGuest
from tests.kernel.lab.drives import numbered

pytestmark = pytest.mark.kernel
DRIVES = numbered(3, 64 << 20)
ONE, TWO, THREE = (drive.serial for drive in DRIVES)


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[AgentGuest]:
    if why := why_unavailable():
        if required():
            pytest.fail(why, pytrace=False)
        pytest.skip(why)
    with AgentGuest(tmp_path, drives=DRIVES) as started:
        yield started


class Pool:
    """One pool by its HTTP calls."""

    def __init__(self, guest: AgentGuest, level: str, *serials: str) -> None:
        self.guest, self.guid = guest, str(uuid.uuid4())
        self.path, self.mount = f"/api/v1/pools/{self.guid}", f"/mnt/backy/{self.guid}"
        wanted = {"poolGroupGuid": self.guid, "label": "a ünusual label", "backend": "lvm"}
        more = {"driveSerials": serials, "mountPath": self.mount, "level": level}
        status, body = guest.request("POST", "/api/v1/pools", wanted | more)
        assert status == 202, body
        self.until("state", "ready", seconds=120)
        guest.exec(f"echo kept > {self.mount}/file && sync", check=True)

    def detail(self) -> dict[str, Any]:
        status, body = self.guest.request("GET", self.path)
        assert status == 200, body
        assert isinstance(body, dict)
        return body

    def members(self) -> dict[str, str]:
        return {each["serial"]: each["status"] for each in self.detail()["drives"]}

    def until(self, field: str, wanted: str, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while (seen := self.detail())[field] != wanted:
            assert seen["state"] != "failed" and time.monotonic() < end, seen
            time.sleep(0.5)

    def done(self, method: str, what: str = "", body: Any = None) -> None:
        status, answer = self.guest.request(method, self.path + what, body)
        assert status == 200, answer

    def remount(self) -> None:
        self.done("DELETE", "/mount")
        assert self.detail()["state"] == "unmounted"
        self.done("POST", "/mount", {})

    def check_file(self) -> None:
        assert self.guest.exec(f"cat {self.mount}/file").out == "kept\n"


def mapped(guest: AgentGuest) -> str:
    """What device-mapper holds."""
    return guest.exec("dmsetup ls").out.replace("No devices found", "").strip()


def signatures(guest: AgentGuest, *serials: str) -> str:
    nodes = " ".join(f"$(readlink -f /dev/disk/by-id/*{serial})" for serial in serials)
    return guest.exec(f"wipefs --noheadings {nodes}").out.strip()


def test_a_mirror_loses_a_drive_and_takes_it_back(guest: AgentGuest) -> None:
    pool = Pool(guest, "raid1", ONE, TWO)
    pool.done("DELETE", "/mount")
    assert mapped(guest) == ""
    guest.unplug(TWO)
    pool.done("POST", "/mount", {})
    pool.check_file()
    assert pool.members() == {ONE: "active", TWO: "disconnected"}
    guest.plug(TWO)
    pool.until("poolStatus", "degraded")
    end = time.monotonic() + 30
    while pool.members()[TWO] != "stale":
        assert time.monotonic() < end, pool.members()
        time.sleep(0.5)
    pool.done("POST", "/drives/add", {"serial": TWO})
    pool.until("poolStatus", "active")
    pool.done("DELETE")
    assert signatures(guest, ONE, TWO) == mapped(guest) == ""
    assert guest.exec("ls /etc/lvm/devices", check=False).rc != 0


def test_a_mirror_takes_another_drive_for_a_lost_one(guest: AgentGuest) -> None:
    pool = Pool(guest, "raid1", ONE, TWO)
    guest.unplug(ONE)
    pool.until("poolStatus", "degraded")
    pool.done("POST", "/drives/add", {"serial": THREE})
    pool.until("poolStatus", "active")
    assert pool.members() == {TWO: "active", THREE: "active"}
    pool.remount()
    pool.check_file()
    pool.done("DELETE")
    assert signatures(guest, TWO, THREE) == mapped(guest) == ""


def test_a_pool_whose_only_drive_was_pulled_is_let_go(guest: AgentGuest) -> None:
    pool = Pool(guest, "linear", ONE)
    guest.unplug(ONE)
    pool.until("poolStatus", "failed")
    pool.done("DELETE", "/mount")
    assert mapped(guest) == ""
    guest.plug(ONE)
    pool.done("POST", "/mount", {})
    pool.check_file()


def test_a_creation_that_is_cut_short_leaves_blank_drives(guest: AgentGuest) -> None:
    guid = str(uuid.uuid4())
    wanted = {"poolGroupGuid": guid, "label": "cut", "backend": "lvm", "level": "raid1"}
    more = {"driveSerials": [ONE, TWO], "mountPath": f"/mnt/backy/{guid}"}
    assert guest.request("POST", "/api/v1/pools", wanted | more)[0] == 202
    end = time.monotonic() + 60
    while not mapped(guest):
        assert time.monotonic() < end
        time.sleep(0.1)
    guest.agent("kill")
    guest.agent("start")
    while signatures(guest, ONE, TWO) or mapped(guest):
        assert time.monotonic() < end + 30, signatures(guest, ONE, TWO) + mapped(guest)
        time.sleep(0.5)
