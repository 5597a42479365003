"""The simulation: it repeats itself exactly, it notices a broken agent, and this one is not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from backy_core.operations.journal import JournalEntry
from backy_core.operations.records import Operation
from backy_core.pools.lifecycle.create import Create
from tests.simulation.running import Violation, simulate

_SEEDS = 60


def test_no_invariant_is_violated() -> None:
    """In a process of its own, in which sets have the order that a replay gives them."""
    command = [sys.executable, "-m", "tests.simulation", "--first", "0"]
    ran = subprocess.run(
        [*command, "--seeds", str(_SEEDS)],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{_SEEDS} seeds from 0" in ran.stdout


def test_a_seed_gives_the_same_history_again(tmp_path: Path) -> None:
    directory = tmp_path / "one" / "bench"
    histories = []
    for _ in range(2):
        histories.append(simulate(7, directory, acts=30).history)
        shutil.rmtree(directory)
    assert len(histories[0]) > 30 and histories[0] == histories[1]


def test_an_agent_that_rolls_nothing_back_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def settle(create: Create, op: Operation, journal: JournalEntry) -> None:
        await create._core.settle(journal)

    monkeypatch.setattr(Create, "go_back", settle)
    with pytest.raises(Violation, match=r"arrays of no pool|offered|directories of no pool"):
        for seed in range(200):
            simulate(seed, tmp_path / str(seed) / "bench", acts=30)
