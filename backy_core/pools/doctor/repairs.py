"""The repairs, each of one kind of finding."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from backy_core.machine.snapshot import Snapshot
from backy_core.operations.actions.mounting import removal_of
from backy_core.operations.claims import Claim
from backy_core.operations.records import Operation
from backy_core.pools.admission.busy import refuse_busy
from backy_core.pools.core import Core, compose, mounts_of
from backy_core.pools.doctor.repair import RepairStep, own_step, steps_of
from backy_core.pools.lifecycle.importing import entry_of_found, importable
from backy_core.pools.reading.pool_mounts import all_mounts
from backy_core.sdk.errors import Conflict, NotFound
from backy_core.system.mounts import MountEntry


def unowned_mounts(core: Core, snapshot: Snapshot) -> tuple[MountEntry, ...]:
    """Filesystems below the mount roots that belong to no known pool, except the one on which the
    mount points of pools lie."""
    owned = {
        mount.majmin
        for entry in core.metadata.entries()
        for mount in all_mounts(entry, core.find_report(entry), snapshot)
    }
    roots, places = core.settings.mount_roots, core.settings.mount_root
    return tuple(
        mount
        for mount in snapshot.mounts
        if mount.majmin not in owned
        and Path(mount.path) not in (places, *places.parents)
        and any(root in Path(mount.path).parents for root in roots)
    )


def unowned_directories(core: Core, snapshot: Snapshot) -> tuple[str, ...]:
    """Names in the directory of mount paths that belong to no known pool and hold no mount."""
    root = core.settings.mount_root
    entries = core.metadata.entries()
    owned = {path for one in entries for path in (one.last_mount_path, *one.made_directories)}
    used = [Path(path) for path in owned if path] + [Path(one.path) for one in snapshot.mounts]
    below = (root / name for name in core.machine.kernel.names_in(root))
    return tuple(
        str(path)
        for path in below
        if not any(path == place or path in place.parents for place in used)
    )


@dataclass(frozen=True)
class StopPool:
    """Stop, deactivate or export a pool that nobody knows and nothing uses."""

    guid: str
    backend: str
    serials: tuple[str, ...]

    @property
    def claims(self) -> tuple[Claim, ...]:
        return tuple(Claim("drive", serial) for serial in self.serials)

    async def plan(self, core: Core, op: Operation | None) -> tuple[RepairStep, ...]:
        snapshot = await core.observer.refresh_for(self.backend)
        backend, report = importable(core, snapshot, op).get(self.guid, ("", None))
        if report is None or not report.assembled:
            raise NotFound(f"No unknown pool {self.guid} runs any more")
        name = f"The {backend} pool {report.name or report.native_id}"
        if mounts := mounts_of(snapshot, report):
            raise Conflict(f"{name} is mounted at {mounts[-1]}", hint=f"umount {mounts[-1]}")
        entry = entry_of_found(core, self.guid, backend, report, snapshot, self.guid, None)
        await refuse_busy(core, entry)
        spec = entry.spec(report)
        draft = await core.host.plan_close(backend, spec, report)
        plan = compose(
            "close", core, spec, backend, draft=draft, steps=draft.steps, drives=report.drives
        )
        return await steps_of(core, plan)


@dataclass(frozen=True)
class _AtPath:
    """A repair of a place where pools are mounted."""

    path: str
    guid = None

    @property
    def claims(self) -> tuple[Claim, ...]:
        return (Claim("mount", self.path),)


@dataclass(frozen=True)
class UnmountPath(_AtPath):
    """Unmount a filesystem that belongs to no known pool and that nothing uses."""

    async def plan(self, core: Core, op: Operation | None) -> tuple[RepairStep, ...]:
        snapshot = await core.observer.refresh()
        mounts = [one for one in unowned_mounts(core, snapshot) if one.path == self.path]
        if not mounts or snapshot.mounts_at(self.path)[-1] not in mounts:
            raise NotFound(f"No filesystem of an unknown pool is mounted at {self.path} any more")
        if users := await core.machine.processes.processes_on(self.path):
            named = ", ".join(f"{process.name} ({process.pid})" for process in users)
            raise Conflict(f"{self.path} is in use", details=f"In use by {named}")
        work = partial(core.machine.mounts.unmount, self.path)
        return (own_step(f"Unmounting {self.path}", shlex.join(["umount", self.path]), work),)


@dataclass(frozen=True)
class RemoveDirectory(_AtPath):
    """Remove an empty directory that was made to mount a pool on."""

    async def plan(self, core: Core, op: Operation | None) -> tuple[RepairStep, ...]:
        snapshot = await core.observer.refresh()
        if self.path not in unowned_directories(core, snapshot):
            raise NotFound(f"{self.path} is not a directory without a pool any more")
        machine = core.machine
        remove = partial(machine.directories.remove_directories, (self.path,))
        work = partial(machine.threads.to_the_end, remove, f"rmdir {self.path}")
        return (own_step(f"Removing {self.path}", removal_of((self.path,)), work),)


@dataclass(frozen=True)
class RemoveLeftover:
    """Remove a file of a program that was killed."""

    path: Path
    guid = None
    claims: tuple[Claim, ...] = ()

    async def plan(self, core: Core, op: Operation | None) -> tuple[RepairStep, ...]:
        kernel = core.machine.kernel
        if self.path not in kernel.find_stale():
            raise NotFound(f"{self.path} is gone, or a program needs it again")
        remove = partial(kernel.remove_stale, self.path)
        work = partial(core.machine.threads.to_the_end, remove, f"rm {self.path}")
        command = shlex.join(["rm", str(self.path)])
        return (own_step(f"Removing {self.path}", command, work),)


@dataclass(frozen=True)
class SetJournalAside:
    """Keep a damaged journal file under a name that no start reads."""

    name: str
    guid = None
    claims: tuple[Claim, ...] = ()

    async def plan(self, core: Core, op: Operation | None) -> tuple[RepairStep, ...]:
        journal = core.journal
        if self.name not in journal.damaged:
            raise NotFound(f"Journal file {self.name} is not a damaged one any more")
        path = core.settings.journal_dir / self.name
        drives = ", ".join(journal.doubtful_because_of(self.name))
        freed = f"; drives {drives} are no longer quarantined" if drives else ""
        return (
            own_step(
                f"Setting {path} aside{freed}",
                shlex.join(["mv", str(path), str(path) + journal.SET_ASIDE]),
                partial(journal.set_aside, self.name),
            ),
        )
