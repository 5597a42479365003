"""How soon one scan follows another."""

from __future__ import annotations

import pytest

from backy_core.machine.following import Pace
from tests.fakes.clock import FakeClock


class Clock(FakeClock):
    """Stands still but for what a test lets pass."""

    def monotonic(self) -> float:
        return 1000 + self.passed


class Paced:
    def __init__(self) -> None:
        self.clock = Clock()
        self.pace = Pace(self.clock)

    def scan(self, took_s: float) -> float:
        """One more scan, as soon as it may begin. Returns how long it had to wait."""
        waited = self.pace.wait_s()
        self.clock.passed += waited + took_s
        self.pace.scanned(took_s)
        return waited


def test_after_quiet_nothing_waits() -> None:
    paced = Paced()
    assert paced.scan(0.2) == 0
    paced.clock.passed += 1
    assert paced.scan(0.2) == 0


@pytest.mark.parametrize("took_s", [0.01, 0.2, 5.0])
def test_the_second_scan_of_a_burst_waits_for_the_debounce_alone(took_s: float) -> None:
    paced = Paced()
    paced.scan(took_s)
    assert paced.scan(took_s) == pytest.approx(0.1)


@pytest.mark.parametrize("took_s", [0.2, 1.0, 5.0])
def test_a_storm_takes_a_third_of_the_time(took_s: float) -> None:
    paced = Paced()
    began = paced.clock.passed
    waits = [paced.scan(took_s) for _ in range(60)]
    assert 60 * took_s / (paced.clock.passed - began) == pytest.approx(1 / 3, abs=0.04)
    assert max(waits) <= 2 * took_s + 0.01


def test_quiet_pays_for_a_storm() -> None:
    paced = Paced()
    for _ in range(20):
        paced.scan(1)
    paced.clock.passed += 10
    assert [paced.scan(1) > 0.2 for _ in range(3)] == [False, False, True]
