"""Running the conformance kit in a guest, with each of its tests reported by itself.

What the kit skips there does not apply to the backend: where the kernel is missing it fails.

Quick unless BACKY_CONTRACT_QUICK=0: every check, with fewer moments at which the agent is killed.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

import pytest

from backy_core.testing import PlanContract
from backy_core.testing.tap import QUICK

from .lab.drives import Drive
from .lab.guest import Guest, Result
from .lab.state import REPOSITORY
from .lab.systems import chosen

_LINE = re.compile(r"^(PASSED|FAILED|ERROR) (\S+)", re.MULTILINE)
_DIRECTORY = "/var/lib/backy/contract"
_SHOWN = 12_000
"""Characters of a failure: its traceback, and the last commands."""
_LIMIT_S = 2400.0
PLANS = [name for name in vars(PlanContract) if name.startswith("test_")]
"""They need no kernel and run outside, where they take no time."""


@dataclass(frozen=True)
class Contract:
    """A module with a subclass of the contract, below the repository.

    ``path`` are folders that are put before what is installed.
    """

    module: str
    path: tuple[str, ...] = ()

    def pytest(self, which: str) -> str:
        """A shell command that runs the chosen tests."""
        python_path = ":".join(str(REPOSITORY / each) for each in (".", *self.path))
        options = "--noconftest -q -p no:cacheprovider -p no:xdist -rap --tb=short"
        return (
            f"cd {REPOSITORY} && PYTHONPATH={python_path}"
            f" BACKY_REQUIRE_KERNEL=1 BACKY_CONTRACT_DRIVES='drive-*'"
            f" BACKY_CONTRACT_DIR={_DIRECTORY} {QUICK}={os.environ.get(QUICK, '1')}"
            f" {chosen().python} -m pytest {options} {self.module} -k '{which}'"
        )


def drives(count: int = 5, size: int = 128 << 20) -> list[Drive]:
    """Drives that can be pulled and put back."""
    return [Drive(f"drive-scsi{number}", size) for number in range(1, count + 1)]


def run(guest: Guest, contract: Contract, subtests: pytest.Subtests) -> None:
    """The whole contract, then a power cut and a boot with the drives in another order."""
    order = [drive.name for drive in guest.spec.drives]
    check(guest, contract, f"not Reboot and not ({' or '.join(PLANS)})", subtests, least=12)
    check(guest, contract, "before_the_power_goes", subtests, least=1)
    guest.cut()
    guest.start([*order[1:], order[0]])
    check(guest, contract, "after_it_is_back", subtests, least=1)


def check(
    guest: Guest, contract: Contract, which: str, subtests: pytest.Subtests, *, least: int
) -> None:
    done = guest.exec(contract.pytest(which), timeout=_LIMIT_S)
    outcomes = {name: outcome for outcome, name in _LINE.findall(done.out)}
    for name, outcome in outcomes.items():
        with subtests.test(msg=name.partition("::")[2]):
            assert outcome == "PASSED", _about(name, done)
    assert done.rc == 0, done.out[-6000:] + done.err[-2000:]
    assert len(outcomes) >= least, done.out[-6000:]


def _about(name: str, done: Result) -> str:
    """The guest's pytest output about this test."""
    title = name.rpartition("::")[2]
    parts = re.split(r"^_{3,} (.+?) _{3,}$", done.out, flags=re.MULTILINE)
    mine = [text for head, text in zip(parts[1::2], parts[2::2], strict=True) if title in head]
    text = "\n".join(mine) or done.out
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}\n…\n{text[-_SHOWN // 2 :]}"
