"""The conformance kit on the ZFS backend, on a real kernel with zfs-fuse."""

from __future__ import annotations

import pytest

from . import contracts
from .availability import required
from .conftest import AgentGuestFactory
from .zfs_fuse import FUSE, PROGRAMS

CONTRACT = contracts.Contract("tests/contracts/zfs.py")


def test_the_contract(agent_guest_factory: AgentGuestFactory, subtests: pytest.Subtests) -> None:
    if not PROGRAMS:
        why = "make install brings zfs-fuse"
        pytest.fail(why) if required() else pytest.skip(why)
    guest = agent_guest_factory(contracts.drives(), prepare=FUSE, start_agent=False, lifetime=3600)
    contracts.run(guest, CONTRACT, subtests)
