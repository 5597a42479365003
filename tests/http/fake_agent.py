"""An agent in memory, composed of fakes as the runtime composes the real one."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pluggy

from backy_core.operations.records import Operation
from backy_core.operations.registry import OperationRegistry
from backy_core.operations.retention import Limits
from backy_core.plugins import registry
from backy_core.plugins.host import FailedPlugin, LoadedBackend, PluginHost
from backy_core.plugins.listeners import Listener
from backy_core.pools.core import Core
from backy_core.pools.doctor.doctor import Diagnosis, Doctor
from backy_core.pools.doctor.repair import RepairFinding, RepairRequest, RepairStep
from backy_core.pools.views import PlannedStep
from backy_core.sdk import hookimpl
from backy_core.sdk.events import TargetAnswer
from backy_core.sdk.models import BackendInfo, Level, Tool
from backy_core.sdk.settings import PluginSettings
from backy_core.store.audit import AuditLog
from backy_core.store.changes import Changes
from backy_core.store.keys import Keys
from backy_core.system.clock import Clock, SystemClock
from backy_core.system.own_files import OwnDirectory
from tests.http.fake_drives import FakeDrives
from tests.http.fake_pools import FakePools

KEY = "test-key-3f0c"


class Sender:
    """A listener whose targets answer as they are told to."""

    def __init__(self, answers: tuple[TargetAnswer, ...]) -> None:
        self._answers = answers

    @hookimpl
    def backy_test_notification(self) -> tuple[TargetAnswer, ...]:
        return self._answers


def _host(*listeners: object) -> PluginHost:
    info = BackendInfo(
        name="mdadm",
        version="1.0.0",
        levels=(
            Level(name="raid1", min_drives=1, max_drives=2, copies=None),
            Level(name="raid5", min_drives=3, parity=1),
        ),
        filesystems=("ext4", "xfs"),
        capabilities=frozenset({"add_drive", "import"}),
        tools=(Tool(name="mdadm", package="mdadm"),),
        signature_types=("linux_raid_member",),
    )
    manager = pluggy.PluginManager("backy")
    mdadm = LoadedBackend(
        info, "backy-mdadm 1.0.0", manager, PluginSettings(), installed=lambda program: False
    )
    reason = "The module cannot be imported: No module named 'libzfs'"
    candidates = registry.candidates((), (("sender", listener) for listener in listeners))
    senders = [
        Listener(one.name, registry.listener_manager(one), PluginSettings(), Path("plugins"))
        for one in candidates
    ]
    broken = FailedPlugin("zfs", "backy-zfs 1.0.0", reason)
    return PluginHost({"mdadm": mdadm}, senders, (broken,))


def keys_in(folder: OwnDirectory, clock: Clock, changes: Changes | None = None) -> Keys:
    """Keys of an agent that has state in ``folder``; :data:`KEY` is that of its key file."""
    keys = Keys(folder.file("keys.json"), folder.file("api-key"), clock, changes)
    keys.use(KEY)
    return keys


class FakeRepair:
    """Wipes nothing, but says so."""

    guid = None
    claims = ()

    def __init__(self, effect: str) -> None:
        self.effect = effect
        self.done = 0

    async def plan(self, core: Core, op: Operation | None) -> tuple[RepairStep, ...]:
        shown = PlannedStep("Mending it", "mend --now", None, self.effect)
        return (RepairStep(shown, self._perform),)

    async def _perform(self, op: Operation) -> None:
        op.outputs.append("$ mend --now")
        self.done += 1


class FakeDoctor(Doctor):
    """Finds what it is told to."""

    def __init__(self, registry: OperationRegistry) -> None:
        parts: Any = SimpleNamespace(registry=registry, observer=self)
        pools: Any = self
        self._core, self._pools, self._repairing = parts, pools, RepairFinding(parts)
        self.diagnoses: tuple[Diagnosis, ...] = ()

    async def refresh(self) -> None:
        """There is no machine."""

    async def start(self, verb: RepairFinding, guid: str, request: RepairRequest) -> Operation:
        op = self._core.registry.start(
            verb.kind, guid, "", (), lambda op: verb.run(op, guid, request)
        )
        await op.accepted()
        return op

    async def examine(self) -> tuple[Diagnosis, ...]:
        return self.diagnoses


class FakeAgent:
    """Needs a running event loop."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.changes = Changes()
        self.machine_changed_at = self.clock.monotonic()
        self._folder = TemporaryDirectory()
        state = OwnDirectory(Path(self._folder.name))
        assert state.descriptor  # open from the start on, as an agent's is
        self.keys = keys_in(state, self.clock, self.changes)
        self.audit_file = state.path / "audit.log"
        self.audit = AuditLog(state.file("audit.log"), self.clock)
        self.agent_instance = "6d1f0a52-0000-4000-8000-000000000001"
        self.host = _host()
        self.backend_problems = {"mdadm": "it did not answer within 30 s"}
        self.operations = OperationRegistry(Limits(), self.clock, changes=self.changes)
        self.pools = FakePools(self.operations, self.changes)
        self.doctor = FakeDoctor(self.operations)
        self.drives_service = FakeDrives()

    def notify(self, *answers: TargetAnswer) -> None:
        """From now on have targets that answer a test so."""
        self.host = _host(Sender(answers))
