"""The conformance kit on the example of the plugin author's page, on a real kernel."""

from __future__ import annotations

import pytest

from . import contracts
from .conftest import GuestFactory

EXAMPLE = "docs/examples/backy-btrfs"
CONTRACT = contracts.Contract(f"{EXAMPLE}/tests/test_contract.py", path=(EXAMPLE,))


def test_the_contract(guest_factory: GuestFactory, subtests: pytest.Subtests) -> None:
    guest = guest_factory(contracts.drives(size=256 << 20), lifetime=1800)
    contracts.run(guest, CONTRACT, subtests)
