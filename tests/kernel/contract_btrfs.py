"""The conformance kit on the example of the plugin author's page, on a real kernel."""

from __future__ import annotations

import pytest

from . import contracts
from .conftest import AgentGuestFactory

EXAMPLE = "docs/examples/backy-btrfs"
CONTRACT = contracts.Contract(f"{EXAMPLE}/tests/test_contract.py", path=(EXAMPLE,))


def test_the_contract(agent_guest_factory: AgentGuestFactory, subtests: pytest.Subtests) -> None:
    guest = agent_guest_factory(
        contracts.drives(4, size=256 << 20), start_agent=False, lifetime=3600
    )
    contracts.run(guest, CONTRACT, subtests)
