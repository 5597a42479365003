"""The conformance kit on the mdadm backend, on a real kernel."""

from __future__ import annotations

import pytest

from . import contracts
from .conftest import AgentGuestFactory

CONTRACT = contracts.Contract("tests/contracts/mdadm.py")


def test_the_contract(agent_guest_factory: AgentGuestFactory, subtests: pytest.Subtests) -> None:
    guest = agent_guest_factory(contracts.drives(4), raid6=True, start_agent=False, lifetime=3600)
    contracts.run(guest, CONTRACT, subtests)
