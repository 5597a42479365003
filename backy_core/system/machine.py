"""Everything the agent asks of the machine, or does to it, by parts that can be handed in.

Each part is a protocol that a module of this package fulfils as it is: a call of the real machine
goes through one attribute more than a call of the module would. A test hands in a machine of its
own, and mypy proves that its parts fit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from backy_core.sdk.models import Requirement, Signature
from backy_core.system import (
    blocks,
    contents,
    directories,
    exec,
    kernel,
    mounts,
    own_files,
    processes,
    signatures,
    threads,
)
from backy_core.system.block_devices import BlockDevice
from backy_core.system.directories import Place
from backy_core.system.kernel_log import KernelLog
from backy_core.system.mount_holders import Filesystem, Holder
from backy_core.system.mountinfo import MountEntry
from backy_core.system.outcome import Outcome
from backy_core.system.own_files import OwnDirectory
from backy_core.system.probing import Probed
from backy_core.system.procs import ProcessInfo
from backy_core.system.raw_writers import RawWriter
from backy_core.system.usage import Usage

T = TypeVar("T")


class Programs(Protocol):
    """Running programs: :mod:`backy_core.system.exec`."""

    async def run(
        self,
        argv: Sequence[str],
        *,
        ok_codes: Sequence[int] = (0,),
        check: bool = True,
        timeout_s: float | None = None,
        on_line: Callable[[str], None] | None = None,
        on_start: Callable[[int, float], None] | None = None,
        cancel: Literal["wait", "term"] = "wait",
    ) -> Outcome: ...

    async def wait_for_exit(self, pid: int, start_time: float, timeout_s: float) -> bool: ...

    async def all_ended(self) -> None: ...

    def installed(self, program: str) -> bool: ...


class Devices(Protocol):
    """Block devices, as the kernel has them: :mod:`backy_core.system.blocks`."""

    def read_block_devices(self) -> tuple[BlockDevice, ...]: ...

    def swaps(self) -> frozenset[str]: ...

    def holders(self, name: str) -> tuple[str, ...]: ...

    def diskseq(self, name: str) -> int | None: ...

    def node_exists(self, name: str) -> bool: ...

    def kernel_name(self, node: str) -> str: ...

    def exclusively(self, node: str) -> AbstractAsyncContextManager[int]: ...

    def disk_lock(self, node: str, timeout_s: float) -> AbstractAsyncContextManager[None]: ...


class Signatures(Protocol):
    """What is written on devices, and erasing it: :mod:`backy_core.system.signatures`."""

    async def probe(self, nodes: Sequence[str]) -> dict[str, tuple[Signature, ...]]: ...

    async def probe_for(self, node: str, type: str) -> tuple[Signature, ...]: ...

    async def probe_drive(self, name: str) -> tuple[Signature, ...]: ...

    async def probe_each(self, nodes: Sequence[str]) -> Probed: ...

    async def wipe_device(self, node: str, *, log: Callable[[str], None]) -> None: ...


class Mounts(Protocol):
    """Mounted filesystems, mounting and unmounting: :mod:`backy_core.system.mounts`."""

    def read_own(self) -> bytes: ...

    def read_mounts(self) -> tuple[MountEntry, ...]: ...

    def read_namespaces(self) -> dict[str, tuple[MountEntry, ...]]: ...

    def in_host_mount_namespace(self) -> bool: ...

    async def given_up(self, mounts: Iterable[MountEntry]) -> Mapping[str, str]: ...

    async def filesystem_usage(self, path: str) -> Usage: ...

    async def filesystem_usages(self, paths: Sequence[str]) -> dict[str, Usage]: ...

    async def mount(
        self,
        source: str,
        path: str,
        fstype: str,
        options: str,
        on_line: Callable[[str], None] | None = None,
    ) -> None: ...

    async def unmount(self, path: str, on_line: Callable[[str], None] | None = None) -> None: ...


class Directories(Protocol):
    """Directories to mount on: :mod:`backy_core.system.directories`."""

    def check(self, path: Path | str) -> None: ...

    def missing_directories(self, path: Path | str) -> tuple[str, ...]: ...

    def is_empty(self, path: Path | str) -> bool: ...

    def make_directories(self, path: Path | str, mode: int = 0o755) -> tuple[str, ...]: ...

    def seal(self, path: Path | str) -> Place | None: ...

    def place(self, path: Path | str) -> Place | None: ...

    def remove_directories(self, paths: Iterable[Path | str]) -> None: ...


class Contents(Protocol):
    """What devices and filesystems hold: :mod:`backy_core.system.contents`."""

    def names_in(self, path: str) -> tuple[str, ...]: ...

    def names_inside(self, node: str, fstype: str) -> tuple[str, ...]: ...

    def read_at(self, node: str, offset: int, length: int) -> bytes: ...

    def read_features(self, node: str, filesystem: str) -> tuple[Requirement, ...] | None: ...


class Processes(Protocol):
    """Processes and what they hold: :mod:`backy_core.system.processes`."""

    async def find_holders(self, filesystem: Filesystem) -> tuple[Holder, ...]: ...

    async def processes_on(self, path: str) -> tuple[ProcessInfo, ...]: ...

    async def raw_writers(self, majmins: Collection[str]) -> tuple[RawWriter, ...]: ...

    def is_alive(self, pid: int) -> bool: ...

    async def kill(self, processes: Sequence[ProcessInfo]) -> tuple[ProcessInfo, ...]: ...


class Kernel(Protocol):
    """The kernel and its files: :mod:`backy_core.system.kernel`."""

    def running(self) -> str: ...

    def boot_id(self) -> str: ...

    def open_kernel_log(self) -> KernelLog: ...

    def read_whole(self, path: Path) -> str | None: ...

    def names_in(self, directory: Path) -> tuple[str, ...]: ...

    def find_stale(self) -> tuple[Path, ...]: ...

    def remove_stale(self, only: Path | None = None) -> tuple[Path, ...]: ...

    async def udev_settled(self, within_s: float) -> bool: ...


class Files(Protocol):
    """The agent's own files: :mod:`backy_core.system.own_files`."""

    def directory(self, path: Path) -> OwnDirectory: ...


class Threads(Protocol):
    """Calls that may hang, off the event loop: :mod:`backy_core.system.threads`."""

    async def in_thread(self, call: Callable[[], T], name: str, deadline_s: float) -> T: ...

    async def apart(self, call: Callable[[], T], name: str) -> T: ...

    async def to_the_end(self, call: Callable[[], T], name: str) -> T: ...


@dataclass(frozen=True)
class Machine:
    """One machine, made in the composition root and handed down from there."""

    programs: Programs
    devices: Devices
    signatures: Signatures
    mounts: Mounts
    directories: Directories
    contents: Contents
    processes: Processes
    kernel: Kernel
    files: Files
    threads: Threads


LINUX = Machine(
    programs=exec,
    devices=blocks,
    signatures=signatures,
    mounts=mounts,
    directories=directories,
    contents=contents,
    processes=processes,
    kernel=kernel,
    files=own_files,
    threads=threads,
)
"""The machine that this process runs on."""
