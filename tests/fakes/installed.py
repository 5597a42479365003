"""Putting a fake machine in the place of the real one.

Every function of ``backy_core.system`` that reaches the machine is replaced wherever it was
imported; what is left real are files below the test's own directory.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shlex
import shutil
import stat
import sys
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from backy_core.operations.journal import JournalEntry, Record
from backy_core.sdk.errors import DriveInUse, SystemFailure
from backy_core.sdk.models import Signature
from backy_core.system import (
    blkid,
    blocks,
    detached_mount,
    directories,
    exec,
    identity,
    kernel_log,
    libmount,
    mount_holders,
    mountinfo,
    mounts,
    namespaces,
    procs,
    raw_reads,
    raw_writers,
    runtime_files,
    sysfs,
    threads,
    wipe,
)
from backy_core.system.absence import look_failed
from backy_core.system.block_devices import BlockDevice
from backy_core.system.directories import Judge
from backy_core.system.exec import CommandFailed, Outcome
from backy_core.system.kernel_log import KernelLog
from backy_core.system.mount_holders import Filesystem, Holder
from backy_core.system.mountinfo import MountEntry
from backy_core.system.mounts import Usage
from backy_core.system.own_files import OwnFile
from backy_core.system.procs import ProcessInfo
from backy_core.system.raw_writers import RawWriter
from tests.fakes.hurry import called_at_once, hurry
from tests.fakes.interruptions import Crash, How
from tests.fakes.kernel_files import text_of
from tests.fakes.machine import FakeMachine
from tests.fakes.model import Array, Disk
from tests.fakes.programs import Answer, Programs

_LOOKS = ("mdadm --examine",)


class Told(KernelLog):
    """The fake kernel's messages from a number on."""

    def __init__(self, lines: list[str], since: int) -> None:
        super().__init__(None)
        self._lines, self._since = lines, since

    def _messages(self) -> list[str]:
        return self._lines[self._since :]


class Installed:
    """The functions of the fake machine, with the signatures of the real ones."""

    def __init__(self, machine: FakeMachine) -> None:
        self.machine = machine
        self.programs = Programs(machine)
        self.orphans: dict[int, Callable[[], object]] = {}
        """Programs that outlived the agent which started them."""
        self.gates: dict[str, asyncio.Event] = {}
        """Commands that contain the words take until the event is set."""
        self._pids = iter(range(50_000, 10_000_000))

    # running programs

    async def run(self, argv: Sequence[str], **how: Any) -> Outcome:
        words = tuple(argv)
        command = shlex.join(words)
        if command.startswith(_LOOKS):
            self.machine.interruptions.alive()
            return self._outcome(words, self.programs.run(words), how)
        return await self._run(words, command, how)

    async def _run(self, argv: tuple[str, ...], command: str, how: dict[str, Any]) -> Outcome:
        machine = self.machine
        fault = self._begun(command)
        if fault is How.VANISHED:
            outcome = Outcome(argv, None, "", "", 0.0)
            raise CommandFailed(f"{argv[0]} is not installed", outcome, final=True)
        self._announce(how, argv)
        await self._wait_at_gate(command)
        answer = self._answer(argv, fault)
        machine.interruptions.point(f"after {command}")
        return self._outcome(argv, answer, how)

    def _begun(self, command: str) -> How | None:
        self.machine.commands.append(command)
        self.machine.interruptions.point(f"before {command}")
        fault = self.machine.interruptions.fault(command)
        if fault is How.BROKEN:
            raise ValueError(f"the parser tripped over {command}")
        return fault

    async def _wait_at_gate(self, command: str) -> None:
        await asyncio.sleep(0)
        for words, gate in self.gates.items():
            if words in command:
                await gate.wait()

    def _announce(self, how: dict[str, Any], argv: tuple[str, ...]) -> None:
        """A program that was started goes on, whatever becomes of the agent."""
        pid = next(self._pids)
        if how.get("on_start") is None:
            return
        try:
            how["on_start"](pid, float(pid))
        except Crash:
            if self.machine.interruptions.reached[-1].startswith("torn"):
                self.programs.run(argv)  # nobody knows of it, so nobody can wait for it
            else:
                self.orphans[pid] = lambda: self.programs.run(argv)
            raise

    def _answer(self, argv: tuple[str, ...], fault: How | None) -> Answer:
        if fault is How.STATUS:
            return 1, "", "it does not work today"
        if fault is How.SILENT:
            return 0, "", ""
        return self.programs.run(argv, half=fault is How.HALF)

    def _outcome(self, argv: tuple[str, ...], answer: Answer, how: dict[str, Any]) -> Outcome:
        code, stdout, stderr = answer
        for line in (stdout + stderr).splitlines():
            if how.get("on_line"):
                how["on_line"](line)
        outcome = Outcome(argv, code, stdout, stderr, 0.0)
        if how.get("check", True) and code not in how.get("ok_codes", (0,)):
            raise CommandFailed(f"{argv[0]} exited with status {code}", outcome)
        return outcome

    async def wait_for_exit(self, pid: int, start_time: float, timeout_s: float) -> bool:
        assert start_time == float(pid)
        self.orphans.pop(pid, lambda: None)()
        return True

    # block devices

    def read_block_devices(self, *_: object) -> tuple[BlockDevice, ...]:
        self.machine.interruptions.alive()
        if self.machine.out_of_descriptors:
            raise look_failed("/sys/class/block", OSError(errno.EMFILE, "Too many open files"))
        arrays = {name: self._array(each) for name, each in self.machine.arrays.items()}
        found: list[BlockDevice] = []
        for disk in self.machine.disks.values():
            parts = [self._part(disk, name, n) for n, name in enumerate(disk.partitions, 1)]
            above = [arrays[name] for name in self.machine.holders(disk.name)]
            found += [self._disk(disk, (*parts, *above)), *parts]
        return (*found, *arrays.values())

    def _disk(self, disk: Disk, children: tuple[BlockDevice, ...]) -> BlockDevice:
        return BlockDevice(
            name=disk.name,
            path=f"/dev/{disk.name}",
            type="disk",
            size=disk.size,
            majmin=_number(disk),
            serial=None if disk.anonymous else disk.serial,
            wwn=disk.wwn,
            mountpoint=self._mountpoint(disk.name),
            links=() if disk.anonymous else (f"scsi-{disk.serial}",),
            logical_sector=disk.sector,
            diskseq=disk.number,
            children=children,
        )

    def _part(self, disk: Disk, name: str, number: int) -> BlockDevice:
        return BlockDevice(
            name=name,
            path=f"/dev/{name}",
            type="part",
            size=disk.size // 2,
            majmin=f"8:{ord(disk.name[-1])}{number}",
            mountpoint=self._mountpoint(name),
            parents=(disk.name,),
        )

    def _array(self, array: Array) -> BlockDevice:
        seen = array.volume.content[0] if array.running and array.volume.content else None
        return BlockDevice(
            name=array.name,
            path=f"/dev/{array.name}",
            type=array.level,
            size=array.members[0].disk.size if array.members else 0,
            majmin=f"9:{array.name[2:]}",
            fstype=seen.type if seen else None,
            uuid=seen.uuid if seen else None,
            mountpoint=self._mountpoint(array.name),
            parents=tuple(member.disk.name for member in array.members),
        )

    def _mountpoint(self, name: str) -> str | None:
        return next((m.path for m in self.machine.mounts if m.device == name), None)

    def holders(self, name: str) -> tuple[str, ...]:
        self.machine.interruptions.alive()
        return self.machine.holders(name)

    def partitions(self, name: str) -> tuple[str, ...]:
        disk = self.machine.disk_at(name)
        return disk.partitions if disk else ()

    def diskseq(self, name: str) -> int | None:
        disk = self.machine.disk_at(name)
        return disk.number if disk else None

    def boot_id(self) -> str:
        return self.machine.boot

    @contextmanager
    def open_exclusive(self, node: str, *, write: bool = False) -> Iterator[int]:
        name = Path(node).name
        if not self.machine.exists(name):
            raise SystemFailure(f"{node} cannot be opened", details="no such device")
        if self.machine.in_use(name):
            raise DriveInUse(f"{node} is in use by the kernel or another program")
        yield -1

    @asynccontextmanager
    async def disk_lock(self, node: str, timeout_s: float) -> AsyncIterator[None]:
        if not self.machine.exists(Path(node).name):
            raise SystemFailure(f"{node} cannot be opened", details="no such device")
        yield

    def read_signatures(
        self, node: str, name: str, only: str | None = None
    ) -> tuple[Signature, ...]:
        self.machine.interruptions.alive()
        if not self.machine.exists(name):
            raise blkid.BlkidFailed(f"{node} cannot be opened: No such file or directory")
        if name in self.machine.unreadable:
            raise blkid.BlkidFailed(f"{node} cannot be read: Input/output error")
        found = self.machine.signatures(name)
        return tuple(each for each in found if only in (None, each.type))

    def open_kernel_log(self) -> KernelLog:
        return Told(self.machine.kernel, len(self.machine.kernel))

    async def wipe_device(self, node: str, *, log: Callable[[str], None]) -> None:
        """The real one runs wipefs and looks again: one command here."""
        with self.open_exclusive(node):
            pass
        await self.run(("wipefs", "--all", node), on_line=log)
        if not self._blank(Path(node).name):
            raise SystemFailure(f"{node} still bears signatures after it was wiped")

    def _blank(self, name: str) -> bool:
        disk = self.machine.disk_at(name)
        return disk.blank if disk else not self.machine.content_of(name)

    def read_attribute(self, path: Path) -> str | None:
        return text_of(self.machine, str(path))

    def node_exists(self, name: str) -> bool:
        return self.machine.exists(name)

    # mounts, processes, directories

    def mount(self, source: str, path: str, fstype: str, options: str, *, place: int) -> None:
        self._call("mount", "-t", fstype, "-o", options, "--", source, path)

    def unmount(self, path: str) -> None:
        self._call("umount", "--", path)

    def names_inside(self, node: str, fstype: str) -> tuple[str, ...]:
        """Of a filesystem that is mounted nowhere; what shows through is never whole."""
        self.machine.interruptions.alive()
        name = Path(node).name
        if any(mount.device == name for mount in self.machine.mounts):
            raise OSError(errno.EBUSY, "Device or resource busy")
        (content,) = self.machine.content_of(name)
        if content in self.machine.shines_through:
            raise OSError(errno.EINVAL, "Invalid argument")
        return tuple(self.machine.arrays[name].volume.files)

    def read_at(self, node: str, offset: int, length: int) -> bytes:
        name = Path(node).name
        if name not in self.machine.raw:
            raise OSError(errno.EIO, "Input/output error")
        return self.machine.raw[name][:length]

    def names_in(self, path: str, **_: object) -> tuple[str, ...]:
        self.machine.interruptions.alive()
        mount = self.machine.mounted(path)
        assert mount is not None, path
        return tuple(self.machine.arrays[mount.device].volume.files)

    def _call(self, *argv: str) -> None:
        """Do in a library what the program of this name would do."""
        command = shlex.join(argv)
        fault = self._begun(command)
        if fault is How.VANISHED:
            raise libmount.MountFailed("Filesystems cannot be mounted", "no library", 0)
        status, _, words = self._answer(argv, fault)
        self.machine.interruptions.point(f"after {command}")
        if status:
            number = errno.EBUSY if "busy" in words else errno.EINVAL
            raise libmount.MountFailed(f"{argv[-1]} could not be mounted", words, number)

    def read_mounts(self, pid: int | str = "self") -> tuple[MountEntry, ...]:
        self.machine.interruptions.alive()
        return tuple(
            MountEntry(
                majmin=f"9:{mount.device[2:]}" if mount.device.startswith("md") else "8:1",
                root="/",
                path=mount.path,
                options=mount.options,
                fstype=mount.fstype,
                source=f"/dev/{mount.device}",
                super_options=mount.options,
            )
            for mount in self.machine.mounts
        )

    async def filesystem_usage(self, path: str) -> Usage:
        assert self.machine.mounted(path), path
        return Usage(size=8000, used=1001, available=6999)

    async def filesystem_usages(self, paths: Sequence[str]) -> dict[str, Usage]:
        return {path: await self.filesystem_usage(path) for path in paths}

    async def find_holders(self, filesystem: Filesystem) -> tuple[Holder, ...]:
        """Processes with a file below one of the mounts."""
        holding = [
            ProcessInfo(p.pid, f"{p.name} {p.path}", "root", p.path, p.name, p.pid)
            for p in self.machine.processes.values()
            if p.path.startswith(filesystem.paths)
        ]
        return tuple(Holder(f"{p.name} (pid {p.pid}) holds {p.path}", process=p) for p in holding)

    async def raw_writers(self, majmins: Collection[str]) -> tuple[RawWriter, ...]:
        names = {disk.name for disk in self.machine.disks.values() if _number(disk) in majmins}
        return tuple(it for it in self.machine.writers if it.node.removeprefix("/dev/") in names)

    async def kill(
        self, processes: Sequence[ProcessInfo], grace_s: float = 5
    ) -> tuple[ProcessInfo, ...]:
        for process in processes:
            del self.machine.processes[process.pid]
        return ()

    def is_alive(self, pid: int) -> bool:
        return pid in self.machine.processes

    def which(self, program: str, **_: object) -> str | None:
        return f"/usr/sbin/{program}" if program in self.machine.programs else None


def _number(disk: Disk) -> str:
    return f"8:{ord(disk.name[-1])}"


def install(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> Installed:
    fakes = Installed(machine)
    originals: dict[Callable[..., Any], Callable[..., Any]] = {
        exec.run: fakes.run,
        exec.wait_for_exit: fakes.wait_for_exit,
        blkid.read_signatures: fakes.read_signatures,
        kernel_log.open_kernel_log: fakes.open_kernel_log,
        threads.in_thread: called_at_once,
        threads.to_the_end: called_at_once,
        threads.apart: called_at_once,
        blocks.read_block_devices: fakes.read_block_devices,
        blocks.holders: fakes.holders,
        blocks.partitions: fakes.partitions,
        blocks.diskseq: fakes.diskseq,
        blocks.swaps: frozenset,
        blocks.boot_id: fakes.boot_id,
        blocks.node_exists: fakes.node_exists,
        blocks.open_exclusive: fakes.open_exclusive,
        blocks.disk_lock: fakes.disk_lock,
        wipe.wipe_device: fakes.wipe_device,
        sysfs.read_whole: fakes.read_attribute,
        mountinfo.read_mounts: fakes.read_mounts,
        namespaces.read_namespaces: lambda: machine.namespaces,
        directories.others_may_change: beside_sticky(directories.others_may_change),
        libmount.mount: fakes.mount,
        libmount.unmount: fakes.unmount,
        raw_reads.read_at: fakes.read_at,
        detached_mount.names_inside: fakes.names_inside,
        detached_mount.names_in: fakes.names_in,
        mounts.filesystem_usage: fakes.filesystem_usage,
        mounts.filesystem_usages: fakes.filesystem_usages,
        mounts.in_host_mount_namespace: lambda: True,
        mount_holders.find_holders: fakes.find_holders,
        raw_writers.raw_writers: fakes.raw_writers,
        procs.kill: fakes.kill,
        identity.is_alive: fakes.is_alive,
        runtime_files.remove_stale: lambda: (),
    }
    _replace_everywhere(monkeypatch, originals | _interrupted(machine))
    monkeypatch.setattr(shutil, "which", fakes.which)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    _interrupt_journal(machine, monkeypatch)
    _interrupt_own_files(machine, monkeypatch)
    hurry(monkeypatch)
    return fakes


def _replace_everywhere(
    monkeypatch: pytest.MonkeyPatch, fakes: dict[Callable[..., Any], Callable[..., Any]]
) -> None:
    by_identity = {id(original): fake for original, fake in fakes.items()}
    for name, module in list(sys.modules.items()):
        if not name.startswith("backy_core"):
            continue
        for attribute, value in list(vars(module).items()):
            if id(value) in by_identity:
                monkeypatch.setattr(module, attribute, by_identity[id(value)])


def _interrupt_journal(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each record is a point; a crash inside an append leaves half a line."""
    interruptions = machine.interruptions
    write, remove = JournalEntry.write, JournalEntry.remove

    def write_entry(entry: JournalEntry, record: Record, *, durable: bool = True) -> None:
        name = f"{record.rec} {getattr(record, 'step', '')}".strip()
        try:
            interruptions.point(f"torn {name}")
        except Crash:
            if interruptions.reached[-1] == f"torn {name}":
                _tear(entry)
            raise
        write(entry, record, durable=durable)
        interruptions.point(f"recorded {name}")

    def remove_entry(entry: JournalEntry) -> None:
        interruptions.point("before journal removal")
        remove(entry)
        interruptions.point("after journal removal")

    monkeypatch.setattr(JournalEntry, "write", write_entry)
    monkeypatch.setattr(JournalEntry, "remove", remove_entry)


def _interrupt_own_files(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    interruptions, write = machine.interruptions, OwnFile.write

    def write_file(file: OwnFile, data: bytes, *rest: Any, **how: Any) -> None:
        interruptions.point(f"before writing {file.name}")
        write(file, data, *rest, **how)
        interruptions.point(f"after writing {file.name}")

    monkeypatch.setattr(OwnFile, "write", write_file)


def _interrupted(machine: FakeMachine) -> dict[Callable[..., Any], Callable[..., Any]]:
    """The real ones, on real files, with points around them."""
    interruptions = machine.interruptions
    make, drop = directories.make_directories, directories.remove_directories

    def make_directories(path: Path | str, *rest: Any) -> tuple[str, ...]:
        interruptions.point("before mkdir")
        silent = _refuse(machine, f"mkdir {path}")
        made = () if silent else make(path, *rest)
        interruptions.point("after mkdir")
        return made

    def remove_directories(paths: Iterable[Path | str]) -> None:
        interruptions.point("before rmdir")
        _refuse(machine, f"rmdir {paths}")
        drop([path for path in paths if machine.mounted(str(path)) is None])
        interruptions.point("after rmdir")

    return {make: make_directories, drop: remove_directories}


def beside_sticky(judge: Judge) -> Judge:
    """Tests lie below /tmp, in which nobody removes what is root's."""

    def others_may_change(info: os.stat_result, descriptor: int) -> str | None:
        return None if info.st_mode & stat.S_ISVTX else judge(info, descriptor)

    return others_may_change


def _tear(entry: JournalEntry) -> None:
    with entry.file.path.open("ab") as file:
        file.write(b'{"rec": "beg')


def _refuse(machine: FakeMachine, command: str) -> bool:
    """Whether to do nothing and say nothing."""
    fault = machine.interruptions.fault(command)
    if fault is How.BROKEN:
        raise ValueError(command)
    if fault in (How.STATUS, How.HALF):
        raise SystemFailure(f"{command} did not work")
    return fault is How.SILENT
