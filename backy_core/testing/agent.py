"""The real agent in a child process, with the verbs the contract is written in."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from backy_core.config.settings import Settings
from backy_core.operations.patience import Patience
from backy_core.operations.records import Operation
from backy_core.plugins.host import PluginHost
from backy_core.pools.views import CreateRequest, PoolView
from backy_core.runtime import Runtime
from backy_core.sdk.errors import BackyError, NotFound
from backy_core.sdk.models import PoolReport
from backy_core.system.machine import LINUX
from backy_core.testing.fork import in_a_process
from backy_core.testing.programs import TappedPrograms
from backy_core.testing.tap import Tap

T = TypeVar("T")
Work = Callable[["Agent"], Awaitable[T]]
OUTPUTS = "outputs"
"""Beside the state directory: what the operations of an agent ran and printed."""
_PATIENCE_S = 300.0
_IMPATIENT = Patience(roll_back_s=4.0, swept_s=0.3, stable_s=0.3)
"""Where nobody else uses the drives, nothing comes late: what udev brings back it brings back
within a fraction of this in an idle guest, and a drive that is gone is not waited for."""
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Agent:
    """One agent that runs; everything here is done by its public use cases."""

    def __init__(
        self, runtime: Runtime, tap: Tap, programs: TappedPrograms, directory: Path
    ) -> None:
        self.runtime = runtime
        self.tap = tap
        self.programs = programs
        self.directory = directory
        self.op: Operation | None = None
        """The last operation that was waited for."""

    async def settled(self) -> None:
        """Wait until nothing runs and start-up is over."""
        async with asyncio.timeout(_PATIENCE_S):
            while not self.runtime.settled:
                await asyncio.sleep(0.02)

    async def ended(self, op: Operation | None) -> BackyError | None:
        """The operation's error, if it had one."""
        self.op = op
        if op is None:
            return None
        async with asyncio.timeout(_PATIENCE_S):
            await op.ended()
        return op.error

    async def create(self, request: CreateRequest) -> BackyError | None:
        """Ask for a pool and wait; the error if it was refused or failed."""
        try:
            _, op = await self.runtime.pools.create(request)
        except BackyError as error:
            return error
        return await self.ended(op)

    async def mount(self, guid: str) -> BackyError | None:
        return await self._do(self.runtime.pools.mount(guid))

    async def unmount(self, guid: str) -> BackyError | None:
        return await self._do(self.runtime.pools.unmount(guid))

    async def delete(self, guid: str) -> BackyError | None:
        return await self._do(self.runtime.pools.delete(guid))

    async def add_drive(self, guid: str, serial: str, **how: Any) -> BackyError | None:
        arguments = {"dev_path": None, "replaces": None, "wipe": False} | how
        return await self._do(self.runtime.pools.add_drive(guid, serial=serial, **arguments))

    async def _do(self, pending: Awaitable[Operation]) -> BackyError | None:
        try:
            return await self.ended(await pending)
        except BackyError as error:
            return error

    async def view(self, guid: str) -> PoolView:
        return await self.runtime.pools.get(guid)

    async def known(self, guid: str) -> bool:
        """Whether the agent has a pool of this GUID that is not just remembered as failed."""
        try:
            return (await self.view(guid)).state not in ("failed", "deleted")
        except NotFound:
            return False

    async def report(self, guid: str) -> PoolReport | None:
        """The backend's current report of the pool."""
        backend = next(iter(self.runtime.host.backends))
        reports = await self.runtime.observer.inspect(backend)
        return next((report for report in reports if guid in (report.guid, report.native_id)), None)

    async def whole(self, guid: str) -> bool:
        """All members are in place and in sync."""
        report = await self.report(guid)
        return (
            report is not None
            and not report.degraded
            and all(member.state in ("active", "spare") for member in report.members)
            and report.health in ("active", "check")
        )

    async def until(self, check: Callable[[], Awaitable[bool]], goal: str) -> None:
        """Wait until ``check`` holds; fail saying ``what`` was waited for."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while not await check():
                    await asyncio.sleep(0.2)
        except TimeoutError:
            backend = next(iter(self.runtime.host.backends))
            reports = await self.runtime.observer.inspect(backend)
            message = f"in {_PATIENCE_S:g} s it did not come to this: {goal}; seen is {reports}"
            raise AssertionError(message) from None

    async def available(self) -> dict[str, str]:
        """Why each drive cannot be used for a new pool, by serial; empty text: it can."""
        await self.runtime.observer.refresh()
        listed = await self.runtime.drives_service.list()
        return {
            line.drive.id.serial: "" if line.available else str(line.unavailable_because)
            for line in listed
        }

    def outputs(self) -> str:
        """Output of the last operation, for messages."""
        return "\n".join(self.op.outputs.lines) if self.op else ""


def fine(agent: Agent, error: BackyError | None) -> None:
    """Fail with all available information if there was an error."""
    if error is not None:
        raise AssertionError(f"{error}\nhint: {error.hint}\n{agent.outputs()}")


def refused(error: BackyError | None, goal: str) -> BackyError:
    """Fail unless there was an error, which must say something."""
    assert error is not None, f"{goal} succeeded"
    assert str(error), f"{goal} was refused without a word"
    return error


def plain(text: str, guid: str) -> str:
    """A command with the names that differ from run to run made equal."""
    words = text.replace(guid, "GUID")
    words = re.sub(r"'?<device of pool GUID>'?|/dev/(md\d+|dm-\d+)", "DEVICE", words)
    return _UUID.sub("UUID", words)


def new_guid() -> str:
    return str(uuid.uuid4())


def write_data(path: str) -> str:
    """Fill a file durably; returns its digest."""
    data = os.urandom(1 << 20)
    with (Path(path) / "kept data").open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return hashlib.sha256(data).hexdigest()


def read_data(path: str) -> str:
    """The digest of that file."""
    return hashlib.sha256((Path(path) / "kept data").read_bytes()).hexdigest()


def run_agent(
    host: PluginHost, settings: Settings, work: Work[T], prepare: Callable[[Tap], None]
) -> T:
    """Start an agent in a child process, let it recover, do ``work``, stop it.

    ``prepare`` may set traps before it starts. Raises Killed if one of them was sprung.
    """

    def inside() -> T:
        handler = logging.FileHandler(settings.state_dir.parent / "agent.log")
        logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
        directory = settings.state_dir.parent
        tap, programs = Tap(), TappedPrograms(directory / OUTPUTS)
        prepare(tap)
        machine = replace(LINUX, files=tap, programs=programs)
        runtime = Runtime(settings, host=host, machine=machine, patience=_IMPATIENT)
        return asyncio.run(_live(Agent(runtime, tap, programs, directory), work))

    return in_a_process(inside)


async def _live(agent: Agent, work: Work[T]) -> T:
    await agent.runtime.start()
    try:
        await agent.settled()
        return await work(agent)
    finally:
        await agent.runtime.stop()
