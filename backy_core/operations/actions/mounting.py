"""Mounting and unmounting the pool's filesystem, and the directories for it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from backy_core.operations import filesystems
from backy_core.operations.actions.bound import Binding, BoundAction, Context
from backy_core.operations.resolve import PoolUnseen
from backy_core.sdk.errors import PoolBusy, SystemFailure
from backy_core.sdk.plan import Condition, MakeDir, Mount, PoolDevice, RemoveDir, Unmount
from backy_core.system.machine import Machine
from backy_core.system.mountinfo import MountTree
from backy_core.system.mounts import MountEntry, is_of_pool


class MountPool(BoundAction):
    def __init__(self, binding: Binding, action: Mount) -> None:
        super().__init__(binding)
        self._action = action
        self._node = self.nodes.node(PoolDevice())
        self._options = filesystems.mount_options(action.filesystem, read_only=action.read_only)

    def command(self) -> str:
        return shlex.join(["mount", "-o", self._options, self._node, self._action.path])

    async def _perform(self, context: Context) -> tuple[Condition, ...]:
        context.write(f"$ {self.command()}")
        path, filesystem = self._action.path, self._action.filesystem
        await self._machine.mounts.mount(self._node, path, filesystem, self._options, context.write)
        return ()


class UnmountPool(BoundAction):
    def __init__(self, binding: Binding, action: Unmount) -> None:
        super().__init__(binding)
        self._path = action.path

    def command(self) -> str:
        return shlex.join(["umount", self._path])

    async def _perform(self, context: Context) -> tuple[Condition, ...]:
        mounted = self._machine.mounts.read_mounts()
        stacked = [entry for entry in mounted if entry.path == self._path]
        for entry in reversed(stacked):  # the same filesystem may be mounted there twice
            if not await self._is_ours(entry):
                if context.undoing:
                    return ()
                raise PoolBusy(
                    f"{self._path}: target is busy",
                    details=f"{entry.source} is mounted over it",
                )
            context.write(f"$ {self.command()}")
            await self._machine.mounts.unmount(self._path, context.write)
        if context.undoing:
            await self._unmount_elsewhere(context)
        return ()

    async def _unmount_elsewhere(self, context: Context) -> None:
        """Unmount the filesystem at its current path: a directory above it may have been moved."""
        try:
            report = await self._resolver.report(self._plan)
        except PoolUnseen:  # a mount that is left keeps the device, which is asked next
            return
        mounted = self._machine.mounts.read_mounts()
        tree = MountTree(mounted)
        for entry in reversed(mounted):
            if is_of_pool(entry, report) and tree.covers(entry) is None:
                context.write(f"$ umount {shlex.quote(entry.path)}")
                await self._machine.mounts.unmount(entry.path, context.write)

    async def _is_ours(self, entry: MountEntry) -> bool:
        """Whether what is mounted is the pool's, as far as it is running."""
        report = await self._resolver.report(self._plan, fresh=False)
        if report is not None and (report.device or report.source):
            return is_of_pool(entry, report)
        return not self._is_anothers(entry)

    def _is_anothers(self, entry: MountEntry) -> bool:
        """Whether another pool, or a filesystem that is known to be another, is mounted there: a
        journal may be older than what uses its drives and its mount path by now."""
        snapshot, pool = self._observer.snapshot, self._plan.pool
        reports = (report for reported in snapshot.reports.values() for report in reported)
        other_reports = (report for report in reports if report.native_id != pool.identity)
        uuids = {
            signature.uuid
            for signature in snapshot.signatures.get(Path(entry.source).name, ())
            if signature.uuid
        }
        return any(is_of_pool(entry, report) for report in other_reports) or bool(
            pool.fs_uuid and uuids and pool.fs_uuid not in uuids
        )


class MakeDirectory(BoundAction):
    def __init__(self, binding: Binding, action: MakeDir) -> None:
        super().__init__(binding)
        self._path = action.path

    def command(self) -> str:
        path = shlex.quote(self._path)
        return f"mkdir -p {path} && chattr +i {path}"

    async def _perform(self, context: Context) -> tuple[Condition, ...]:
        context.write(f"$ {self.command()}")
        make = partial(self._machine.directories.make_directories, self._path)
        made = await self._machine.threads.to_the_end(make, f"mkdir {self._path}")
        if self._path in made:
            await seal(self._machine, self._path, context.write)
        return ()


async def seal(machine: Machine, path: str, write: Callable[[str], None]) -> None:
    """Have nothing written into an empty mount directory while nothing is mounted there.

    A pool is of use without that, so what stands against it is only told.
    """
    sealing = partial(machine.directories.seal, path)
    try:
        place = await machine.threads.to_the_end(sealing, f"chattr +i {path}")
    except SystemFailure as problem:
        write(f"# {path} is not immutable: {problem.details or problem}")
        return
    if place is not None and place.seal == "mode":
        write(f"# {path} has mode 0, which does not stop root: it cannot be made immutable")


def removal_of(paths: Iterable[str]) -> str:
    """The commands that remove mount directories, whether they are immutable or not."""
    named = shlex.join(paths)
    return f"chattr -i {named}; rmdir {named}"


class RemoveDirectories(BoundAction):
    def __init__(self, binding: Binding, action: RemoveDir) -> None:
        super().__init__(binding)
        self._paths = action.paths

    def command(self) -> str:
        return removal_of(self._paths)

    async def _perform(self, context: Context) -> tuple[Condition, ...]:
        context.write(f"$ {self.command()}")
        remove = partial(self._machine.directories.remove_directories, self._paths)
        await self._machine.threads.to_the_end(remove, f"rmdir {self._paths}")
        return ()
