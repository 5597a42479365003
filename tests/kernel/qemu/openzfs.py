"""The ZFS backend on real OpenZFS: ``make test-openzfs``. Not part of ``make test``: what it needs
takes minutes to build, and an emulated CPU runs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kernel import zfs_life as life
from tests.kernel.qemu.guest import QemuGuest


class OpenZfsSite:
    """A QEMU guest with OpenZFS and the agent."""

    fuse = False

    def __init__(self, guest: QemuGuest, drives: tuple[str, ...]) -> None:
        self._guest = guest
        self.drives = drives
        guest.agent("start")

    def request(self, method: str, path: str, body: Any = None) -> Any:
        return self._guest.request(method, path, body)

    def sh(self, script: str) -> str:
        return self._guest.exec(script)

    def unplug(self, serial: str) -> None:
        self._guest.unplug(serial)

    def plug(self, serial: str) -> None:
        self._guest.plug(serial)

    def agent(self, verb: str) -> None:
        self._guest.agent(verb)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[OpenZfsSite]:
    drives = ("drive-a", "drive-b", "drive-c", "drive-d")
    with QemuGuest(tmp_path, drives) as guest:
        try:
            yield OpenZfsSite(guest, drives)
        finally:
            print(guest.log())


def test_a_whole_life(site: OpenZfsSite) -> None:
    life.whole(site)


def test_an_interrupted_creation(site: OpenZfsSite) -> None:
    life.interrupted(site)


def test_members_come_and_go(site: OpenZfsSite) -> None:
    life.members(site)


def test_levels(site: OpenZfsSite) -> None:
    life.levels(site)
