"""Guards for every test: no signal reaches a process that the tests did not start.

pytest-subprocess hands out pids from 1 on, so ending a faked child would signal real processes
of the host. The kernel lab ends guests it finds by their recorded pids and checks them itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.kernel.availability import pytest_terminal_summary  # noqa: F401  (see there)

settings.register_profile("backy", deadline=None)  # a busy machine is no failure
settings.load_profile("backy")
_KERNEL_TESTS = Path(__file__).parent / "kernel"
_LONGEST = (
    *("test_members", "test_zfs_members", "test_crash_later", "test_power", "test_life"),
    *("test_crash_create", "test_forced", "test_lvm", "test_mdadm", "test_system"),
)
"""Modules that take minutes begin first: what begins last must not be what all wait for."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A module's tests for one backend share a guest, so they stay together on one worker; the
    many quick tests come last, where they fill the gaps."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=_turn)


def _group(item: pytest.Item) -> str:
    call = getattr(item, "callspec", None)
    backend = call.params.get("backend") if call else None
    return f"{item.path.stem}-{getattr(backend, 'name', '')}"


def _turn(item: pytest.Item) -> int:
    if item.get_closest_marker("kernel") is None and _KERNEL_TESTS not in item.path.parents:
        return len(_LONGEST) + 1
    starts = (n for n, name in enumerate(_LONGEST) if item.path.stem.startswith(name))
    return next(starts, len(_LONGEST))


class ForeignProcess(AssertionError):
    """A test was about to signal a process it did not start."""


@pytest.fixture(autouse=True)
def refuse_foreign_pids(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Let signals through only to children of this process, living or ended."""
    if _KERNEL_TESTS in request.path.parents:
        yield
        return
    started: set[int] = set()
    _record_children(monkeypatch, started)
    _guard(monkeypatch, os, "kill", started, lambda pid: pid)
    _guard(monkeypatch, os, "killpg", started, lambda group: group)
    _guard(monkeypatch, signal, "pidfd_send_signal", started, _pid_of_descriptor)
    yield


def _record_children(monkeypatch: pytest.MonkeyPatch, started: set[int]) -> None:
    start = subprocess.Popen.__init__

    def recorded(self: subprocess.Popen[Any], *args: Any, **options: Any) -> None:
        start(self, *args, **options)
        started.add(self.pid)

    monkeypatch.setattr(subprocess.Popen, "__init__", recorded)


def _guard(
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    name: str,
    started: set[int],
    pid_of: Callable[[int], int],
) -> None:
    real = getattr(module, name)

    def guarded(target: int, number: int, *rest: Any) -> None:
        pid = pid_of(target)
        if number != 0 and pid not in started and not _descends_from_us(pid):
            raise ForeignProcess(f"{name} of {pid}, which no test started")
        real(target, number, *rest)

    monkeypatch.setattr(module, name, guarded)


def _pid_of_descriptor(descriptor: int) -> int:
    text = Path(f"/proc/self/fdinfo/{descriptor}").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pid:"))


def _descends_from_us(pid: int) -> bool:
    ours = os.getpid()
    while pid > 1:
        if pid == ours:
            return True
        pid = _parent(pid)
    return False


def _parent(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    # The second field is the name in parentheses, and may hold any character.
    return int(stat.rpartition(")")[2].split()[1])
