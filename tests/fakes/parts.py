"""The rest of the fake machine, and the whole of it as the agent is handed it."""

from __future__ import annotations

import errno
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from backy_core.sdk.errors import PoolBusy
from backy_core.sdk.models import Requirement
from backy_core.system import filesystem_features
from backy_core.system.kernel_log import KernelLog
from backy_core.system.libmount import MountFailed
from backy_core.system.machine import Machine
from backy_core.system.mount_holders import Filesystem, Holder
from backy_core.system.mountinfo import MountEntry
from backy_core.system.mounts import Usage
from backy_core.system.procs import ProcessInfo
from backy_core.system.raw_writers import RawWriter
from tests.fakes.clock import FakeThreads
from tests.fakes.devices import FakeDevices, FakeSignatures, disk_number, number_of
from tests.fakes.interruptions import How
from tests.fakes.kernel_files import text_of
from tests.fakes.machine import FakeMachine
from tests.fakes.own_files import FakeDirectories, FakeFiles
from tests.fakes.running import FakePrograms


def assembled(machine: FakeMachine, programs: FakePrograms) -> Machine:
    """``machine`` in the shape of a real one."""
    devices = FakeDevices(machine)
    directories = FakeDirectories(machine)
    return Machine(
        programs=programs,
        devices=devices,
        signatures=FakeSignatures(machine, devices, programs),
        mounts=FakeMounts(machine, programs, directories),
        directories=directories,
        contents=FakeContents(machine),
        processes=FakeProcesses(machine),
        kernel=FakeKernel(machine),
        files=FakeFiles(machine),
        threads=FakeThreads(),
    )


def altered(part: ModuleType, **functions: Callable[..., object]) -> Any:
    """A part of the real machine with other functions in the place of some."""
    return SimpleNamespace(**{**vars(part), **functions})


class Told(KernelLog):
    """The fake kernel's messages from a number on."""

    def __init__(self, lines: list[str], since: int) -> None:
        super().__init__(None)
        self._lines, self._since = lines, since

    def messages(self) -> list[str]:
        return self._lines[self._since :]


class FakeKernel:
    def __init__(self, machine: FakeMachine) -> None:
        self._machine = machine

    def running(self) -> str:
        return self._machine.linux

    def boot_id(self) -> str:
        return self._machine.boot

    def open_kernel_log(self) -> KernelLog:
        return Told(self._machine.kernel, len(self._machine.kernel))

    def read_whole(self, path: Path) -> str | None:
        return text_of(self._machine, str(path))

    def names_in(self, directory: Path) -> tuple[str, ...]:
        return tuple(self._machine.mappings) if str(directory) == "/sys/block" else ()

    def find_stale(self) -> tuple[Path, ...]:
        return ()

    def remove_stale(self, only: Path | None = None) -> tuple[Path, ...]:
        return ()

    async def udev_settled(self, within_s: float) -> bool:
        """The fake udev does at once what it does."""
        return True


class FakeMounts:
    def __init__(
        self, machine: FakeMachine, programs: FakePrograms, directories: FakeDirectories
    ) -> None:
        self._machine = machine
        self._programs = programs
        self._directories = directories

    def read_own(self) -> bytes:
        return b""

    def read_mounts(self) -> tuple[MountEntry, ...]:
        self._machine.interruptions.alive()
        return tuple(
            MountEntry(
                majmin=number_of(mount.device),
                root="/",
                path=mount.path,
                options=mount.options,
                fstype=mount.fstype,
                source=f"/dev/{mount.device}",
                super_options=mount.options,
            )
            for mount in self._machine.mounts
        )

    def read_namespaces(self) -> dict[str, tuple[MountEntry, ...]]:
        return self._machine.namespaces

    def in_host_mount_namespace(self) -> bool:
        return True

    async def given_up(self, mounts: Iterable[MountEntry]) -> Mapping[str, str]:
        return {}

    async def filesystem_usage(self, path: str) -> Usage:
        assert self._machine.mounted(path), path
        return Usage(size=8000, used=1001, available=6999)

    async def filesystem_usages(self, paths: Sequence[str]) -> dict[str, Usage]:
        return {path: await self.filesystem_usage(path) for path in paths}

    async def mount(
        self,
        source: str,
        path: str,
        fstype: str,
        options: str,
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        self._directories.check(path)
        self._call(on_line, path, "mount", "-t", fstype, "-o", options, "--", source, path)

    async def unmount(self, path: str, on_line: Callable[[str], None] | None = None) -> None:
        if self._machine.mounted(path) is None:
            return
        try:
            self._call(on_line, path, "umount", "--", path)
        except MountFailed as failure:
            if self._machine.mounted(path) is None:
                return
            if failure.errno == errno.EBUSY:
                raise PoolBusy(f"{path}: target is busy") from failure
            raise

    def _call(self, on_line: Callable[[str], None] | None, path: str, *argv: str) -> None:
        """Do in a library what the program of this name would do."""
        command = shlex.join(argv)
        fault = self._programs.begun(command)
        if fault is How.VANISHED:
            raise MountFailed("Filesystems cannot be mounted", "no library", 0)
        status, _, words = self._programs.answer(argv, fault)
        self._machine.interruptions.point(f"after {command}")
        if not status:
            return
        if on_line is not None:
            on_line(f"{argv[0]}: {path}: {words}")
        number = errno.EBUSY if "busy" in words else errno.EINVAL
        raise MountFailed(f"{path} could not be mounted", words, number)


class FakeContents:
    def __init__(self, machine: FakeMachine) -> None:
        self._machine = machine

    def names_in(self, path: str) -> tuple[str, ...]:
        self._machine.interruptions.alive()
        mount = self._machine.mounted(path)
        assert mount is not None, path
        return self._files(mount.device)

    def names_inside(self, node: str, fstype: str) -> tuple[str, ...]:
        """Of a filesystem that is mounted nowhere; what shows through is never whole."""
        self._machine.interruptions.alive()
        name = Path(node).name
        if any(mount.device == name for mount in self._machine.mounts):
            raise OSError(errno.EBUSY, "Device or resource busy")
        (content,) = self._machine.content_of(name)
        if content in self._machine.shines_through:
            raise OSError(errno.EINVAL, "Invalid argument")
        return self._files(name)

    def _files(self, name: str) -> tuple[str, ...]:
        volume = self._machine.volume_of(name)
        assert volume is not None, name
        return tuple(volume.files)

    def read_at(self, node: str, offset: int, length: int) -> bytes:
        name = Path(node).name
        if name not in self._machine.raw:
            raise OSError(errno.EIO, "Input/output error")
        return self._machine.raw[name][:length]

    def read_features(self, node: str, filesystem: str) -> tuple[Requirement, ...] | None:
        return filesystem_features.parse(self.read_at(node, 0, 4096), filesystem)


class FakeProcesses:
    def __init__(self, machine: FakeMachine) -> None:
        self._machine = machine

    async def find_holders(self, filesystem: Filesystem) -> tuple[Holder, ...]:
        """Processes with a file below one of the mounts."""
        found = self._below(*filesystem.paths)
        return tuple(Holder(f"{p.name} (pid {p.pid}) holds {p.path}", process=p) for p in found)

    async def processes_on(self, path: str) -> tuple[ProcessInfo, ...]:
        return self._below(path)

    def _below(self, *paths: str) -> tuple[ProcessInfo, ...]:
        return tuple(
            ProcessInfo(p.pid, f"{p.name} {p.path}", "root", p.path, p.name, p.pid)
            for p in self._machine.processes.values()
            if p.path.startswith(paths)
        )

    async def raw_writers(self, majmins: Collection[str]) -> tuple[RawWriter, ...]:
        disks = self._machine.disks.values()
        names = {disk.name for disk in disks if disk_number(disk) in majmins}
        return tuple(it for it in self._machine.writers if it.node.removeprefix("/dev/") in names)

    def is_alive(self, pid: int) -> bool:
        return pid in self._machine.processes

    async def kill(self, processes: Sequence[ProcessInfo]) -> tuple[ProcessInfo, ...]:
        for process in processes:
            del self._machine.processes[process.pid]
        return ()
