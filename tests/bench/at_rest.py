"""CPU time and wake-ups of an agent at rest: 40 mounted pools, no client.

The agent is a process of its own. All of it is real but what it sees: drives and arrays of a sysfs
made of files, which cost what the kernel's cost to read, and the reports of `many_pools`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.figures import Amount

POOLS = 40
_SECONDS = 60.0
_SETTLE_S = 10.0
_SLICE_S = 0.25
_MOST_MS = 1000 * 0.002 * _SECONDS
"""0.2 % of one core."""
_MOST_WAKE_UPS = _SECONDS / 5


def measure(repetitions: int) -> list[Amount]:
    """Few minutes will do: only the scan of all devices varies."""
    with _agent() as pid:
        time.sleep(_SETTLE_S)
        minutes = [_minute(pid) for _ in range(min(repetitions, 3))]
    spent, woken = [ms for ms, _ in minutes], [times for _, times in minutes]
    return [
        Amount(f"CPU time a minute at rest, {POOLS} pools", "ms", spent, _MOST_MS),
        Amount(f"Wake-ups a minute at rest, {POOLS} pools", "times", woken, _MOST_WAKE_UPS),
    ]


def _minute(pid: int) -> tuple[float, float]:
    """Milliseconds of CPU time, and quarters of a second in which any thread ran, those in a row
    counted as one."""
    began, spent, before = time.monotonic(), _cpu_s(pid), _switches(pid)
    woken, running = 0, False
    while time.monotonic() - began < _SECONDS:
        time.sleep(_SLICE_S)
        after = _switches(pid)
        woken += after != before and not running
        running, before = after != before, after
    return 1000 * (_cpu_s(pid) - spent), float(woken)


def _cpu_s(pid: int) -> float:
    """All threads together, also those that ended: the clock of clock_getcpuclockid(3)."""
    return time.clock_gettime((~pid << 3) | 2)


def _switches(pid: int) -> dict[str, str]:
    """How often each thread has waited."""
    return {
        thread.name: line
        for thread in Path(f"/proc/{pid}/task").iterdir()
        for line in _lines(thread / "status")
        if line.startswith("voluntary_ctxt_switches")
    }


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:  # the thread has ended
        return []


@contextmanager
def _agent() -> Iterator[int]:
    with tempfile.TemporaryDirectory(prefix="backy-bench-") as directory:
        command = [sys.executable, "-m", "tests.bench.resting_agent", str(POOLS), directory]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as agent:
            try:
                assert agent.stdout is not None
                if agent.stdout.readline() != "ready\n":
                    raise RuntimeError("the agent at rest did not start")
                yield agent.pid
            finally:
                agent.kill()
