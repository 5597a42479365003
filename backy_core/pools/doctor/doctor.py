"""The doctor: gathers the facts and asks each check about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from backy_core.operations.records import Operation
from backy_core.pools.core import Core
from backy_core.pools.doctor.findings import Check, Facts, Finding, Severity
from backy_core.pools.doctor.of_machine import (
    BlindBackends,
    ClockJump,
    KernelModules,
    Leftovers,
    MountNamespace,
    OwnFiles,
    Tools,
)
from backy_core.pools.doctor.of_pools import (
    DriveIdentity,
    MountPlaces,
    NewerKernel,
    Quarantined,
    UnownedDirectories,
    UnownedMounts,
    UnownedPools,
    UnsettledJournal,
)
from backy_core.pools.doctor.repair import RepairFinding, RepairRequest
from backy_core.pools.doctor.repairs import unowned_directories
from backy_core.pools.doctor.tool_versions import ToolVersions
from backy_core.pools.service import PoolService
from backy_core.pools.views import PlannedStep
from backy_core.sdk.advice import Hint, Verb, advise
from backy_core.sdk.errors import Conflict, NotFound, SystemFailure
from backy_core.system.directories import Place
from backy_core.system.machine import Directories, Kernel

CHECKS: tuple[Check, ...] = (
    Quarantined(),
    UnsettledJournal(),
    OwnFiles(),
    BlindBackends(),
    Tools(),
    KernelModules(),
    NewerKernel(),
    MountNamespace(),
    DriveIdentity(),
    UnownedPools(),
    UnownedMounts(),
    UnownedDirectories(),
    MountPlaces(),
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
    """Examines; what it can repair, it repairs when asked."""

    def __init__(
        self, core: Core, pools: PoolService, file_problems: Callable[[], Iterable[str]]
    ) -> None:
        self._core = core
        self._pools = pools
        self._repairing = RepairFinding(core)
        self._versions = ToolVersions(core)
        self._file_problems = file_problems
        self._offset = self._clock_offset()

    async def examine(self) -> tuple[Diagnosis, ...]:
        """Findings, the most severe first. Raises :class:`SystemFailure`."""
        outdated = await self._versions.outdated()
        try:
            facts = await self._core.machine.threads.in_thread(self._facts, "examine", _READ_S)
        except TimeoutError as error:
            raise SystemFailure("The disk of this system does not answer") from error
        facts = replace(facts, outdated=outdated)
        diagnoses = [
            Diagnosis(check.name, finding) for check in CHECKS for finding in check.findings(facts)
        ]
        return tuple(sorted(diagnoses, key=lambda one: _ORDER.index(one.finding.severity)))

    async def plan_repair(self, check: str, subject: str) -> tuple[PlannedStep, ...]:
        """Plan what :meth:`repair` would do and run nothing."""
        request = await self._request(check, subject)
        self._core.registry.refuse_busy(request.guid)
        steps = await request.repair.plan(self._core, None)
        return tuple(step.shown for step in steps)

    async def repair(self, check: str, subject: str, confirm: str | None = None) -> Operation:
        """Repair one finding. ``confirm`` repeats the subject, where anything is erased."""
        request = await self._request(check, subject, confirm)
        return await self._pools.start(self._repairing, request.guid, request)

    async def _request(self, check: str, subject: str, confirm: str | None = None) -> RepairRequest:
        """Raises :class:`NotFound` for an unknown finding, and :class:`Conflict` if the
        doctor cannot repair it."""
        for diagnosis in await self.examine():
            finding = diagnosis.finding
            if (diagnosis.check, finding.subject) != (check, subject):
                continue
            if finding.repair is not None:
                return RepairRequest(check, subject, finding.repair, confirm)
            raise Conflict(
                "The doctor cannot repair this by itself",
                details=finding.message,
                hint=finding.remedy,
            )
        raise NotFound(
            f"Nothing is wrong with {subject} by the check {check}",
            hint=advise("See what is: ", Hint(Verb.EXAMINE)),
        )

    def _empty_directories(self) -> tuple[str, ...]:
        core = self._core
        return tuple(
            path
            for path in unowned_directories(core, core.observer.snapshot)
            if _is_empty(core.machine.directories, path)
        )

    def _facts(self) -> Facts:
        core = self._core
        kernel = core.machine.kernel
        return Facts(
            core=core,
            snapshot=core.observer.snapshot,
            kernel=kernel.running(),
            own_namespace=not core.machine.mounts.in_host_mount_namespace(),
            leftovers=kernel.find_stale(),
            empty_directories=self._empty_directories(),
            offered_filesystems=_offered_filesystems(kernel),
            places=dict(self._places()),
            clock_jump_s=self._clock_offset() - self._offset,
            file_problems=tuple(self._file_problems()),
        )

    def _places(self) -> Iterator[tuple[str, Place]]:
        for entry in self._core.metadata.entries():
            if entry.last_mount_path is not None:
                with suppress(SystemFailure):  # none is there, or not one to mount on
                    place = self._core.machine.directories.place(entry.last_mount_path)
                    if place is not None:
                        yield entry.guid, place

    def _clock_offset(self) -> float:
        clock = self._core.clock
        return clock.now().timestamp() - clock.monotonic()


def _is_empty(directories: Directories, path: str) -> bool:
    try:
        return directories.is_empty(path)
    except SystemFailure:  # a file, a link, or a directory that others than root may change
        return False


def _offered_filesystems(kernel: Kernel) -> frozenset[str] | None:
    modules = Path("/lib/modules", kernel.running())
    names = set((kernel.read_whole(Path("/proc/filesystems")) or "").split())
    for file in ("modules.dep", "modules.builtin"):
        text = kernel.read_whole(modules / file)
        if text is None:
            return None
        names |= {Path(line.split(":")[0]).name.split(".")[0] for line in text.splitlines()}
    return frozenset(names)
