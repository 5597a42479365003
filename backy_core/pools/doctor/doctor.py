"""The doctor: gathers the facts and asks each check about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from backy_core.pools.core import Core
from backy_core.pools.doctor.findings import Check, Facts, Finding, Severity
from backy_core.pools.doctor.of_machine import (
    BlindBackends,
    ClockJump,
    KernelModules,
    Leftovers,
    MissingTools,
    MountNamespace,
    OwnFiles,
)
from backy_core.pools.doctor.of_pools import (
    DriveIdentity,
    NewerKernel,
    Quarantined,
    UnownedMounts,
    UnownedPools,
    UnsettledJournal,
)
from backy_core.sdk.errors import SystemFailure
from backy_core.system.machine import Kernel

CHECKS: tuple[Check, ...] = (
    Quarantined(),
    UnsettledJournal(),
    OwnFiles(),
    BlindBackends(),
    MissingTools(),
    KernelModules(),
    NewerKernel(),
    MountNamespace(),
    DriveIdentity(),
    UnownedPools(),
    UnownedMounts(),
    Leftovers(),
    ClockJump(),
)
_READ_S = 5.0
_ORDER = tuple(Severity)


class Diagnosis(NamedTuple):
    """A finding and the check that made it."""

    check: str
    finding: Finding


class Doctor:
    """Reads; repairs nothing."""

    def __init__(self, core: Core, file_problems: Callable[[], Iterable[str]]) -> None:
        self._core = core
        self._file_problems = file_problems
        self._offset = self._clock_offset()

    async def examine(self) -> tuple[Diagnosis, ...]:
        """Findings, the most severe first. Raises :class:`SystemFailure`."""
        try:
            facts = await self._core.machine.threads.in_thread(self._facts, "examine", _READ_S)
        except TimeoutError as error:
            raise SystemFailure("The disk of this system does not answer") from error
        diagnoses = [
            Diagnosis(check.name, finding) for check in CHECKS for finding in check.findings(facts)
        ]
        return tuple(sorted(diagnoses, key=lambda one: _ORDER.index(one.finding.severity)))

    def _facts(self) -> Facts:
        core = self._core
        kernel = core.machine.kernel
        return Facts(
            core=core,
            snapshot=core.observer.snapshot,
            kernel=kernel.running(),
            own_namespace=not core.machine.mounts.in_host_mount_namespace(),
            leftovers=kernel.find_stale(),
            offered_filesystems=_offered_filesystems(kernel),
            clock_jump_s=self._clock_offset() - self._offset,
            file_problems=tuple(self._file_problems()),
        )

    def _clock_offset(self) -> float:
        clock = self._core.clock
        return clock.now().timestamp() - clock.monotonic()


def _offered_filesystems(kernel: Kernel) -> frozenset[str] | None:
    modules = Path("/lib/modules", kernel.running())
    names = set((kernel.read_whole(Path("/proc/filesystems")) or "").split())
    for file in ("modules.dep", "modules.builtin"):
        text = kernel.read_whole(modules / file)
        if text is None:
            return None
        names |= {Path(line.split(":")[0]).name.split(".")[0] for line in text.splitlines()}
    return frozenset(names)
