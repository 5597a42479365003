"""An observer of a machine made of data, with the real plugin host and a small backend."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from backy_core.config.settings import Settings
from backy_core.machine.observer import Observer
from backy_core.machine.snapshot import Snapshot
from backy_core.plugins.loading import load_backends
from backy_core.sdk import hookimpl
from backy_core.sdk.models import (
    BackendInfo,
    Delivers,
    Level,
    MemberReport,
    PoolReport,
    PoolSpec,
    Probe,
    Signature,
    Tool,
    Unreadable,
)
from backy_core.sdk.plan import BackendPlan
from backy_core.system import blocks, mounts, signatures
from backy_core.system import machine as system
from backy_core.system.blocks import BlockDevice
from backy_core.system.clock import SystemClock
from backy_core.system.machine import LINUX
from backy_core.system.mounts import MountEntry
from backy_core.system.signatures import Probed
from backy_core.system.udev import KernelEvents
from tests.fakes.parts import altered

GUID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"


def disk(name: str, serial: str, **facts: Any) -> BlockDevice:
    given = {"type": "disk", "size": 1 << 30, "majmin": f"8:{sum(name.encode())}", **facts}
    return BlockDevice(name=name, path=f"/dev/{name}", serial=serial, **given)


def report(**facts: Any) -> PoolReport:
    given: dict[str, Any] = {
        "native_id": GUID,
        "guid": GUID,
        "level": "raid1",
        "presence": "active",
        "health": "active",
        "expected_members": 1,
        "members": (MemberReport(device="sda", state="active"),),
        **facts,
    }
    return PoolReport(**given)


@dataclass
class Machine:
    """The state of a fake machine, which tests change."""

    devices: list[BlockDevice] = field(default_factory=list)
    mounts: tuple[MountEntry, ...] = ()
    bears: dict[str, str] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    probed: list[str] = field(default_factory=list)
    during_probe: Callable[[], None] = field(default=lambda: None)
    silent: bool = False
    """It answers nothing about any device."""
    reads: int = 0

    def handed_in(self) -> system.Machine:
        """The real machine with these drives, mounts and signatures."""
        return replace(
            LINUX,
            devices=altered(blocks, read_block_devices=self.read, swaps=lambda: frozenset()),
            mounts=altered(mounts, read_mounts=lambda: self.mounts),
            signatures=altered(signatures, probe_each=self.probe_each),
        )

    def read(self) -> tuple[BlockDevice, ...]:
        self.reads += 1
        return tuple(self.devices)

    async def probe_each(self, nodes: Sequence[str]) -> Probed:
        if self.silent:
            return Probed()
        names = [node.removeprefix("/dev/") for node in nodes]
        self.probed += names
        found = {
            name: (Signature(device=name, type=self.bears[name]),) if name in self.bears else ()
            for name in names
            if name not in self.unreadable
        }
        await asyncio.sleep(0)
        self.during_probe()
        return Probed(found, {name: "I/O error" for name in names if name in self.unreadable})


class Gate(threading.Event):
    """Opened in one event loop, waited for in that of a backend."""

    async def pass_through(self) -> None:
        while not self.is_set():
            await asyncio.sleep(0.005)


class Backend:
    """Answers with ``reports``, after ``wait``; or raises them if they are an error."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.reports: Sequence[PoolReport | Unreadable] | Exception = []
        self.wait: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0)
        self.asked = 0
        self.seen: tuple[Signature, ...] = ()
        self.refresh_s: float | None = None
        self.delivers: Delivers = "block"

    @hookimpl
    def backy_backend(self) -> BackendInfo:
        return BackendInfo(
            name=self.name,
            version="1",
            levels=(Level(name="raid1", min_drives=1),),
            filesystems=("ext4",),
            delivers=self.delivers,
            tools=(Tool(name="true", package="coreutils"),),
            read_commands=(("echo", "--yes"),),
            signature_types=("fake_member",),
            refresh_s=self.refresh_s,
        )

    @hookimpl
    async def backy_inspect(self, probe: Probe) -> Sequence[PoolReport | Unreadable]:
        self.asked += 1
        answer = self.reports
        self.seen = probe.signatures
        await self.wait()
        if isinstance(answer, Exception):
            raise answer
        return answer

    @hookimpl
    def backy_plan_create(self, pool: PoolSpec) -> BackendPlan:
        return BackendPlan(steps=())

    @hookimpl
    def backy_plan_open(self, pool: PoolSpec) -> BackendPlan:
        return BackendPlan(steps=())

    @hookimpl
    def backy_plan_close(self, pool: PoolSpec) -> BackendPlan:
        return BackendPlan(steps=())

    @hookimpl
    def backy_plan_teardown(self, pool: PoolSpec) -> BackendPlan:
        return BackendPlan(steps=())


class Events(KernelEvents):
    """Announces what tests tell it to."""

    def start(
        self,
        loop: asyncio.AbstractEventLoop,
        on_block: Callable[[str, str], None],
        on_mdstat: Callable[[], None],
        on_mounts: Callable[[], None],
    ) -> None:
        self.on_block, self.on_mdstat, self.on_mounts = on_block, on_mdstat, on_mounts

    def stop(self) -> None:
        self.on_block, self.on_mdstat, self.on_mounts = (
            lambda *_: None,
            lambda: None,
            lambda: None,
        )


@dataclass
class Watched:
    observer: Observer
    backend: Backend
    other: Backend
    events: Events
    changes: list[tuple[Snapshot, Snapshot]]


@asynccontextmanager
async def observing(
    machine: Machine,
    *,
    start: bool = True,
    silent: float | None = None,
    backend: Backend | None = None,
    **settings: Any,
) -> AsyncIterator[Watched]:
    """``silent``: ``refresh_s`` of the other backend, whose changes no event announces."""
    backends = backend or Backend("fake"), Backend("other")
    backends[1].refresh_s = silent
    host = load_backends(
        installed_backends=(), builtin=[(b.name, b) for b in backends], installed_listeners=()
    )
    assert set(host.backends) == {"fake", "other"}, host.failed
    events = Events()
    given = Settings(**{"drives_rescan_s": 0, **settings})
    made = Observer(given, host, machine.handed_in(), SystemClock(), events)
    changes: list[tuple[Snapshot, Snapshot]] = []
    made.subscribe(lambda before, after: changes.append((before, after)))
    if start:
        await made.start()
    yield Watched(made, *backends, events, changes)
    await made.stop()


async def until(condition: Callable[[], object], within_s: float = 5) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)
