"""An agent on a fake machine: start it, crash it, start the next one on the same state."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from backy_mdadm import hooks, naming

from backy_core.config.settings import Settings
from backy_core.operations.records import Operation
from backy_core.plugins.calls import OWN_THREADS, PluginCalls
from backy_core.plugins.loading import load_backends
from backy_core.pools.views import CreateRequest, LayerRequest, PoolView
from backy_core.runtime import Runtime
from backy_core.sdk.errors import BackyError, PoolBusy
from backy_core.store.metadata import MetadataStore
from backy_core.system.clock import Clock
from backy_core.system.own_files import OwnFile
from tests import linear_layer
from tests.fakes.clock import FakeClock
from tests.fakes.machine import FakeMachine
from tests.fakes.model import Content, Volume
from tests.fakes.parts import assembled
from tests.fakes.running import FakePrograms

GUID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
OTHER = "11111111-2222-4333-8444-555555555555"
FS_UUID = "0d6c9f64-1111-4222-8333-94f1c0f3a001"
_PATIENCE_S = 20.0


class Bench:
    """One machine, one state directory, and the agent that runs at the moment."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.machine = FakeMachine()
        self.fakes = FakePrograms(self.machine)
        self.mounts = directory / "mnt"
        self.mounts.mkdir()
        self.options: dict[str, Any] = {}
        self.backends: tuple[tuple[str, object], ...] = (("mdadm", hooks),)
        self.layers: tuple[tuple[str, object], ...] = ()
        self.stack: tuple[LayerRequest, ...] = ()
        """The layers of every pool that is made."""
        self.listeners: tuple[tuple[str, object], ...] = ()
        self.clock: Callable[[], Clock] = FakeClock
        self.calls: PluginCalls = OWN_THREADS
        self.patience_s = _PATIENCE_S
        self.pause_s = 0.002
        """Between two questions whether something is over."""
        self.agent: Runtime

    # the agent's life

    def build(self, **options: Any) -> Runtime:
        self.options |= options
        settings = Settings(
            state_dir=self.directory / "state",
            config_dir=self.directory / "etc",
            runtime_dir=self.directory / "run",
            **{
                **{"mount_roots": (self.directory.parents[1],), "mount_root": self.mounts},
                **{"open_wait_s": 0, "shutdown_grace_s": 1, "drives_rescan_s": 0},
                **self.options,
            },
        )
        self.settings = settings
        (self.directory / "etc").mkdir(exist_ok=True)
        host = load_backends(
            installed_backends=(),
            installed_layers=(),
            layers=self.layers,
            installed_listeners=(),
            builtin=self.backends,
            listeners=self.listeners,
            tables=settings.plugins,
            plugins_dir=settings.plugins_dir,
            plan_deadline_s=self.settings.plugin_deadline_s,
            inspect_deadline_s=self.settings.inspect_deadline_s,
            has_program=self.fakes.installed,
            calls=self.calls,
        )
        self.agent = Runtime(
            settings,
            host=host,
            machine=assembled(self.machine, self.fakes),
            clock=self.clock(),
            events=lambda: None,
        )
        return self.agent

    async def start(self, **options: Any) -> Runtime:
        """A new agent, with its recoveries and openings done."""
        agent = self.build(**options)
        await agent.start()
        await self.settled()
        return agent

    async def settled(self) -> None:
        """Wait until nothing runs and start-up is over."""
        agent = self.agent
        async with asyncio.timeout(self.patience_s):
            while not agent.settled:
                await asyncio.sleep(self.pause_s)

    async def stop(self) -> None:
        await self.agent.stop()

    async def restart(self) -> Runtime:
        await self.stop()
        return await self.start()

    async def until_crash(self, work: Coroutine[Any, Any, Any]) -> bool:
        """Run ``work`` up to the crash that was asked for; False if it ended before."""
        interruptions = self.machine.interruptions
        # A task that died is nobody's news; said by the garbage collector it breaks ast.parse.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        task = asyncio.create_task(work)
        async with asyncio.timeout(self.patience_s):
            while not (interruptions.dead or task.done()):
                await asyncio.sleep(self.pause_s)
        await self._bury()
        with suppress(BaseException):
            await task
        return interruptions.dead

    async def _bury(self) -> None:
        """End every task of the dead agent, without letting it do anything more."""
        here = asyncio.current_task()
        for _ in range(5):
            tasks = {task for task in asyncio.all_tasks() if task is not here}
            if not tasks:
                return
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=1)

    def layered(self, count: int = 1) -> None:
        """From now on pools have this many layers."""
        self.layers = ((linear_layer.KIND, linear_layer),)
        self.stack = tuple(linear_layer.request(number) for number in range(count))

    # what callers do

    def path(self, guid: str = GUID) -> str:
        return str(self.mounts / guid)

    def request(self, *serials: str, guid: str = GUID, **changes: Any) -> CreateRequest:
        given: dict[str, Any] = {
            "label": "backup-1",
            "drive_serials": serials or ("A", "B"),
            "mount_path": self.path(guid),
            "guid": guid,
            "layers": self.stack,
        }
        return CreateRequest(**(given | changes))

    async def create(self, *serials: str, guid: str = GUID, **changes: Any) -> PoolView:
        _, op = await self.agent.pools.create(self.request(*serials, guid=guid, **changes))
        if op is not None:
            await self.ended(op)
        return await self.agent.pools.get(guid)

    async def degraded(self) -> None:
        """An agent with a mounted mirror that has lost its drive B."""
        await self.start()
        await self.create()
        self.machine.unplug("B")
        await self.agent.observer.refresh()
        assert (await self.agent.pools.get(GUID)).pool_status == "degraded"

    async def ended(self, op: Operation) -> BackyError | None:
        """The operation's error, if it had one."""
        async with asyncio.timeout(self.patience_s):
            await op.ended()
        return op.error

    async def mount(self, guid: str = GUID, path: str | None = None) -> BackyError | None:
        return await self.ended(await self.agent.pools.mount(guid, path))

    async def unmount(self, guid: str = GUID) -> BackyError | None:
        return await self._ended_or_refused(self.agent.pools.unmount(guid))

    async def delete(self, guid: str = GUID, **consent: Any) -> BackyError | None:
        return await self._ended_or_refused(self.agent.pools.delete(guid, **consent))

    async def _ended_or_refused(self, call: Awaitable[Operation]) -> BackyError | None:
        """As :meth:`ended`; of a pool in use, what it was refused with."""
        try:
            return await self.ended(await call)
        except PoolBusy as error:
            return error

    async def add_drive(self, serial: str, **how: Any) -> BackyError | None:
        given = {"dev_path": None, "replaces": None, "wipe": False} | how
        return await self.ended(await self.agent.pools.add_drive(GUID, serial=serial, **given))

    async def state(self, guid: str = GUID) -> str:
        return (await self.agent.pools.get(guid)).state.value

    # what there is

    def stopped_pool(self, *serials: str, guid: str = GUID) -> Volume:
        """A pool made long ago, on drives that are only stamped, with an ext4 inside."""
        return self.machine.make_pool(
            guid,
            naming.array_name(guid),
            *(serials or ("A", "B")),
            fs=Content("ext4", FS_UUID, "backup-1"),
        )

    @property
    def journal(self) -> list[str]:
        """Names of what lies in the journal's directory."""
        directory = self.settings.journal_dir
        return sorted(path.name for path in directory.iterdir()) if directory.exists() else []

    @property
    def directories(self) -> list[str]:
        """Mount directories that exist."""
        return sorted(path.name for path in self.mounts.iterdir())

    @property
    def remembered(self) -> dict[str, Any]:
        """The metadata file, as a new agent would read it: the desired state by GUID."""
        store = MetadataStore(OwnFile.at(self.settings.metadata_path), FakeClock())
        store.load()
        return {entry.guid: entry for entry in store.entries()}

    async def available(self) -> dict[str, bool]:
        listed = await self.agent.drives_service.list()
        return {each.drive.id.serial: each.available for each in listed}

    def assert_nothing_left(self, *serials: str) -> None:
        """As if the pool had never been."""
        assert self.machine.clean(*serials), [self.machine.disks[s] for s in serials]
        assert not self.machine.mappings
        assert not self.machine.arrays
        assert not self.machine.mounts
        assert not self.directories
        assert not self.journal
        assert not self.agent.operations.claims.claimed_drives()


def new_guid() -> str:
    return str(uuid.uuid4())
