"""The parts of the conformance kit that a pool with layers must pass, on a real kernel."""

from __future__ import annotations

import pytest

from . import contracts
from .conftest import AgentGuestFactory

CONTRACT = contracts.Contract("tests/contracts/layers.py")


def test_the_contract(agent_guest_factory: AgentGuestFactory, subtests: pytest.Subtests) -> None:
    guest = agent_guest_factory(contracts.drives(4), start_agent=False, lifetime=3600)
    contracts.check(guest, CONTRACT, "Layers", subtests, least=5)
