"""Lives of zpools through a whole agent in a lab guest, on zfs-fuse.

zfs-fuse is unpacked, not installed (by ``make install``): its package would drive out the ZFS of a
machine that has one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, cast

import pytest

from tests.kernel import zfs_life as life
from tests.kernel.availability import why_unavailable
from tests.kernel.lab.agent import AgentGuest
from tests.kernel.lab.drives import numbered
from tests.kernel.zfs_fuse import FUSE, PROGRAMS


class FuseSite:
    """A UML guest with zfs-fuse and the agent."""

    fuse = True

    def __init__(self, guest: AgentGuest) -> None:
        self._guest = guest
        self.drives = tuple(drive.serial for drive in guest.spec.drives)

    def request(self, method: str, path: str, body: Any = None) -> Any:
        return self._guest.request(method, path, body, timeout=120)

    def sh(self, script: str) -> str:
        return self._guest.exec(script, check=True).out

    def unplug(self, serial: str) -> None:
        self._guest.unplug(serial)

    def plug(self, serial: str) -> None:
        self._guest.plug(serial)

    def agent(self, verb: str) -> None:
        self._guest.agent(cast(Literal["start", "stop", "kill"], verb))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[FuseSite]:
    why = why_unavailable() or ("" if PROGRAMS.is_dir() else "make install brings zfs-fuse")
    if why and os.environ.get("CI") != "true" and os.environ.get("BACKY_REQUIRE_KERNEL") != "1":
        pytest.skip(why)
    assert not why
    with AgentGuest(tmp_path, numbered(4), prepare=FUSE) as guest:
        try:
            yield FuseSite(guest)
        finally:
            print(guest.log()[-6000:])


@pytest.mark.kernel
def test_a_whole_life(site: FuseSite) -> None:
    life.whole(site)
    life.interrupted(site)


@pytest.mark.kernel
def test_members_come_and_go(site: FuseSite) -> None:
    life.members(site)
