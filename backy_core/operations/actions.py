"""Performing one action of a plan. This is where a plan meets the machine.

Every action can be repeated: what is so already is done. Destructive actions look at their
target once more, right before they touch it.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from backy_core.machine.observer import Observer
from backy_core.operations import filesystems
from backy_core.operations.journal import Child, JournalEntry
from backy_core.operations.resolve import NoPoolDevice, PoolUnseen, Resolver
from backy_core.sdk.errors import DriveInUse, DriveNotEmpty, PoolBusy, SystemFailure
from backy_core.sdk.models import DriveId
from backy_core.sdk.plan import (
    Action,
    Blank,
    Condition,
    DriveRef,
    Exec,
    MakeDir,
    MakeFilesystem,
    Mount,
    Plan,
    PoolDevice,
    RemoveDir,
    Unmount,
    WipeMember,
    WipeSignatures,
    references,
)
from backy_core.system.exec import CommandFailed
from backy_core.system.machine import Machine
from backy_core.system.mountinfo import MountTree
from backy_core.system.mounts import MountEntry, is_of_pool, mount_at

_LOCK_S = 30.0
_LOOK_S = 10.0


class Context(NamedTuple):
    """The operation around an action. ``write`` takes output lines."""

    plan: Plan
    write: Callable[[str], None]
    entry: JournalEntry | None = None
    undoing: bool = False
    on_cancel: Literal["wait", "term"] = "wait"
    hold_locks: bool = True


class Actions:
    def __init__(self, observer: Observer, resolver: Resolver, machine: Machine) -> None:
        self._observer = observer
        self._resolver = resolver
        self._machine = machine

    async def perform(self, action: Action, context: Context) -> tuple[Condition, ...]:
        """Do it; what it saw to hold where there was nothing to do.

        Raises :class:`SystemFailure` or a guard's error.
        """
        async with AsyncExitStack() as stack:
            if context.hold_locks:
                lock = self._machine.devices.disk_lock
                for identity in drives_of(action):
                    drive = await self._resolver.drive(identity)
                    await stack.enter_async_context(lock(drive.node, _LOCK_S))
            try:
                return await self._perform(action, context)
            except OSError as error:  # a drive that fails, of which an undo must not break off
                raise SystemFailure("A system call failed", details=str(error)) from error

    async def _perform(self, action: Action, context: Context) -> tuple[Condition, ...]:
        match action:
            case Exec():
                await self._exec(action, context)
            case WipeMember():
                await self._wipe_member(action, context)
            case WipeSignatures():
                return await self._wipe_signatures(action, context)
            case MakeFilesystem():
                await self._make_filesystem(action, context)
            case Mount():
                await self._mount(action, context)
            case Unmount():
                await self._unmount(action, context)
            case MakeDir():
                context.write(f"$ mkdir -p {shlex.quote(action.path)}")
                make = partial(self._machine.directories.make_directories, action.path)
                await self._machine.threads.to_the_end(make, f"mkdir {action.path}")
            case RemoveDir():
                await self._remove_directories(action, context)
        return ()

    async def describe(self, action: Action, plan: Plan) -> str:
        """The command as a person would type it, with the nodes as they were last seen."""
        match action:
            case Exec(argv=argv):
                return shlex.join([await self._resolver.shown(arg, plan) for arg in argv])
            case WipeMember(drive=drive):
                return f"wipefs --all {(await self._resolver.drive(drive)).node}"
            case WipeSignatures():
                return f"wipefs --all {await self._resolver.shown(action.on, plan)}"
            case MakeFilesystem():
                node = await self._resolver.shown(PoolDevice(), plan)
                return shlex.join(await self._make_argv(action, node))
            case Mount(path=path):
                node = await self._resolver.shown(PoolDevice(), plan)
                return shlex.join(["mount", "-o", _options(action), node, path])
            case Unmount(path=path):
                return shlex.join(["umount", path])
            case MakeDir(path=path):
                return shlex.join(["mkdir", "-p", path])
            case RemoveDir(paths=paths):
                return shlex.join(["rmdir", *paths])

    async def _exec(self, action: Exec, context: Context) -> None:
        plan = context.plan
        if plan.delivers == "filesystem" and plan.kind in ("create", "open"):
            await self._refuse_place(plan.pool.mount_path, context)
        try:
            argv = await self._resolver.argv(action.argv, context.plan)
        except NoPoolDevice:
            if context.undoing:
                return
            raise
        try:
            await self._run(argv, context, ok_codes=action.ok_codes)
        except CommandFailed as error:
            error.final = error.final or error.outcome.says(action.final_words)
            raise
        finally:  # a program that failed may have written all the same
            self._touched(action, context.plan)

    async def _refuse_place(self, path: str | None, context: Context) -> None:
        """Refuse a program that mounts by path where anyone but root can redirect the path."""
        if path is None or context.undoing or self._mounted_at(path):
            return
        check = partial(self._machine.directories.check, path)
        try:
            await self._machine.threads.in_thread(check, f"look at {path}", _LOOK_S)
        except TimeoutError as error:
            raise SystemFailure(f"Mount path {path} does not answer") from error

    def _mounted_at(self, path: str) -> MountEntry | None:
        return mount_at(self._machine.mounts.read_mounts(), path)

    async def _run(
        self, argv: tuple[str, ...], context: Context, ok_codes: tuple[int, ...] = (0,)
    ) -> None:
        context.write(f"$ {shlex.join(argv)}")

        def started(pid: int, start_time: float) -> None:
            if context.entry is not None:
                # No child outlives a power cut either.
                context.entry.write(Child(pid=pid, start_time=start_time), durable=False)

        await self._machine.programs.run(
            argv,
            ok_codes=ok_codes,
            on_line=context.write,
            on_start=started,
            cancel=context.on_cancel,
        )

    def _touched(self, action: Action, plan: Plan) -> None:
        """Have written devices probed again."""
        names = [
            drive.name
            for drive in self._observer.snapshot.drives
            if drive.id in plan.drives or drive.id in drives_of(action)
        ]
        self._observer.forget_signatures(names)

    async def _wipe_member(self, action: WipeMember, context: Context) -> None:
        drive = await self._resolver.drive(action.drive)
        held = self._machine.devices.holders(drive.name)
        if held:
            raise DriveInUse(
                f"Drive {drive.id.serial} is held by {', '.join(held)} and is not wiped"
            )
        probed = await self._machine.signatures.probe_drive(drive.name)
        if not probed:
            return
        await self._refuse_member(drive.id, context.plan)
        strange = [s for s in probed if not any(s.matches(match) for match in action.bears)]
        if strange:
            raise DriveNotEmpty(
                f"Drive {drive.id.serial} is not wiped: it holds {strange[0]}, "
                "which this operation may not erase"
            )
        context.write(f"$ wipefs --all {drive.node}")
        try:
            await self._machine.signatures.wipe_device(drive.node, log=context.write)
        finally:
            self._touched(action, context.plan)

    async def _refuse_member(self, drive: DriveId, plan: Plan) -> None:
        """Not everything holds its drives: zfs-fuse lets an exclusive open of a member succeed."""
        report = await self._resolver.report(plan)
        if report is None or not report.assembled:
            return
        if any(member.drive == drive and member.in_place for member in report.members):
            raise DriveInUse(f"Drive {drive.serial} is in use by the pool and is not wiped")

    async def _wipe_signatures(
        self, action: WipeSignatures, context: Context
    ) -> tuple[Condition, ...]:
        try:
            node = await self._resolver.target(action.on, context.plan)
        except NoPoolDevice:
            if context.undoing:
                return ()
            raise
        name = Path(node).name
        if not (await self._machine.signatures.probe([node]))[name]:
            return (Blank(on=action.on),)
        context.write(f"$ wipefs --all {node}")
        await self._machine.signatures.wipe_device(node, log=context.write)
        self._observer.forget_signatures([name])
        return ()

    async def _make_filesystem(self, action: MakeFilesystem, context: Context) -> None:
        node = await self._resolver.target(PoolDevice(), context.plan)
        await self._run(await self._make_argv(action, node), context)
        self._observer.forget_signatures([Path(node).name])

    async def _mount(self, action: Mount, context: Context) -> None:
        node = await self._resolver.target(PoolDevice(), context.plan)
        options = _options(action)
        context.write("$ " + shlex.join(["mount", "-o", options, node, action.path]))
        await self._machine.mounts.mount(
            node, action.path, action.filesystem, options, context.write
        )

    async def _unmount(self, action: Unmount, context: Context) -> None:
        stacked = [
            entry for entry in self._machine.mounts.read_mounts() if entry.path == action.path
        ]
        for entry in reversed(stacked):  # the same filesystem may be mounted there twice
            if not await self._is_ours(entry, context.plan):
                if context.undoing:
                    return
                raise PoolBusy(
                    f"{action.path}: target is busy",
                    details=f"{entry.source} is mounted over it",
                )
            await self._unmount_at(action.path, context)
        if context.undoing:
            await self._unmount_elsewhere(context)

    async def _unmount_elsewhere(self, context: Context) -> None:
        """Unmount the filesystem at its current path: a directory above it may have been moved."""
        try:
            report = await self._resolver.report(context.plan)
        except PoolUnseen:  # a mount that is left keeps the device, which is asked next
            return
        mounted = self._machine.mounts.read_mounts()
        tree = MountTree(mounted)
        for entry in reversed(mounted):
            if is_of_pool(entry, report) and tree.covers(entry) is None:
                await self._unmount_at(entry.path, context)

    async def _unmount_at(self, path: str, context: Context) -> None:
        context.write(f"$ umount {shlex.quote(path)}")
        await self._machine.mounts.unmount(path, context.write)

    async def _is_ours(self, entry: MountEntry, plan: Plan) -> bool:
        """Whether what is mounted is the pool's, as far as it is running."""
        report = await self._resolver.report(plan)
        if report is not None and (report.device or report.source):
            return is_of_pool(entry, report)
        return not self._is_anothers(entry, plan)

    def _is_anothers(self, entry: MountEntry, plan: Plan) -> bool:
        """Whether another pool, or a filesystem that is known to be another, is mounted there: a
        journal may be older than what uses its drives and its mount path by now."""
        snapshot = self._observer.snapshot
        reports = (report for reported in snapshot.reports.values() for report in reported)
        other_reports = (report for report in reports if report.native_id != plan.pool.identity)
        uuids = {
            signature.uuid
            for signature in snapshot.signatures.get(Path(entry.source).name, ())
            if signature.uuid
        }
        return any(is_of_pool(entry, report) for report in other_reports) or bool(
            plan.pool.fs_uuid and uuids and plan.pool.fs_uuid not in uuids
        )

    async def _remove_directories(self, action: RemoveDir, context: Context) -> None:
        for path in action.paths:
            context.write(f"$ rmdir {shlex.quote(path)}")
        remove = partial(self._machine.directories.remove_directories, action.paths)
        await self._machine.threads.to_the_end(remove, f"rmdir {action.paths}")

    async def _make_argv(self, action: MakeFilesystem, node: str) -> tuple[str, ...]:
        programs = self._machine.programs
        options = await filesystems.options(programs, action.type, action.portability)
        return filesystems.make_argv(
            action.type, node=node, uuid=action.uuid, label=action.label, options=options
        )


def _options(action: Mount) -> str:
    return filesystems.mount_options(action.filesystem, read_only=action.read_only)


def drives_of(action: Action) -> tuple[DriveId, ...]:
    """The drives an action writes to directly, each once: its lock is not taken twice."""
    if isinstance(action, WipeMember):
        return (action.drive,)
    if not isinstance(action, Exec):
        return ()
    found = [ref for arg in action.argv for ref in references(arg)]
    return tuple(dict.fromkeys(ref.drive for ref in found if isinstance(ref, DriveRef)))
