"""A machine of two blank drives, which is looked at without much delay."""

from __future__ import annotations

import pytest

from backy_core.machine import following, poller
from tests.core.machine.watched import Machine, disk


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(following, "_DEBOUNCE_S", 0.01)
    monkeypatch.setattr(poller, "_TICK_S", 0.02)
    monkeypatch.setattr(poller, "_REST_S", 0.02)
    monkeypatch.setattr(poller, "_FRESH_S", 0.01)
    return Machine([disk("sda", "A"), disk("sdb", "B")])
