"""The conformance kit on the LVM backend, on a real kernel."""

from __future__ import annotations

import pytest

from . import contracts
from .conftest import GuestFactory

CONTRACT = contracts.Contract("tests/contracts/lvm.py")


def test_the_contract(guest_factory: GuestFactory, subtests: pytest.Subtests) -> None:
    guest = guest_factory(contracts.drives(), raid6=True, lifetime=1800)
    contracts.run(guest, CONTRACT, subtests)
