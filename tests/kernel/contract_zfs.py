"""The conformance kit on the ZFS backend, on a real kernel with zfs-fuse."""

from __future__ import annotations

import pytest

from . import contracts
from .availability import required
from .conftest import AgentGuestFactory
from .lab.state import REPOSITORY

PROGRAMS = REPOSITORY / ".venv" / "zfs-fuse" / "sbin"
_START = (
    f"cp {PROGRAMS}/* /usr/sbin/ && mkdir -p /etc/zfs /var/run/zfs && modprobe fuse && zfs-fuse"
    " && until zpool list >/dev/null 2>&1; do sleep 0.1; done"
)
CONTRACT = contracts.Contract(
    "tests/contracts/zfs.py", before=f"(pidof zfs-fuse >/dev/null || ({_START}))"
)


def test_the_contract(agent_guest_factory: AgentGuestFactory, subtests: pytest.Subtests) -> None:
    if not PROGRAMS.is_dir():
        why = "make zfs-fuse brings zfs-fuse"
        pytest.fail(why) if required() else pytest.skip(why)
    guest = agent_guest_factory(contracts.drives(), start_agent=False, lifetime=3600)
    contracts.run(guest, CONTRACT, subtests)
