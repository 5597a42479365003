"""The composition root: the one place where the agent's parts are built and joined."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from backy_core.config.settings import Settings
from backy_core.machine.inventory import unmatched
from backy_core.machine.observer import Observer
from backy_core.machine.snapshot import Snapshot
from backy_core.operations.executor import Executor
from backy_core.operations.journal import Journal
from backy_core.operations.patience import PATIENT, Patience
from backy_core.operations.records import Operation
from backy_core.operations.registry import OperationRegistry
from backy_core.operations.retention import Limits
from backy_core.operations.undo import Undoer
from backy_core.plugins.host import PluginHost
from backy_core.plugins.loading import load_backends
from backy_core.pools.core import Core
from backy_core.pools.doctor.doctor import Doctor
from backy_core.pools.drive_service import DriveService
from backy_core.pools.lifecycle.learning import awaits_leavers, learn
from backy_core.pools.lifecycle.recovery import Recovery
from backy_core.pools.reading.pool_changes import changes_between, pool_found, pools_at_start
from backy_core.pools.service import PoolService
from backy_core.pools.startup import Startup
from backy_core.sdk.advice import plain
from backy_core.sdk.errors import SystemFailure
from backy_core.store.audit import AuditLog
from backy_core.store.changes import Changes
from backy_core.store.keys import Keys
from backy_core.store.metadata import MetadataStore
from backy_core.store.protection import ProtectionStore
from backy_core.store.tombstones import Tombstones
from backy_core.system.clock import Clock, SystemClock
from backy_core.system.machine import LINUX, Machine
from backy_core.system.own_files import OwnFile
from backy_core.system.udev import KernelEvents

log = logging.getLogger(__name__)


class Runtime:
    """One agent. Nothing is started before :meth:`start`."""

    def __init__(
        self,
        settings: Settings,
        *,
        host: PluginHost | None = None,
        machine: Machine = LINUX,
        clock: Clock | None = None,
        patience: Patience = PATIENT,
        events: Callable[[], KernelEvents | None] = KernelEvents,
    ) -> None:
        self.settings = settings
        self._machine = machine
        self.clock = clock or SystemClock()
        self._patience = patience
        self.agent_instance = str(uuid.uuid4())
        self.changes = Changes()
        self.machine_changed_at = self.clock.monotonic()
        self.host = host or _loaded_plugins(settings, machine)
        self.observer = Observer(settings, self.host, machine, self.clock, events())
        self.operations = OperationRegistry(
            _limits(settings),
            self.clock,
            max_lines=settings.max_output_lines,
            changes=self.changes,
        )
        self._state = machine.files.directory(settings.state_dir)
        self.keys = self._keys()
        self.audit = AuditLog(self._state.file(settings.audit_path.name), self.clock)
        self._core = self._compose()
        self.pools = PoolService(self._core)
        self.drives_service = DriveService(self._core, self.pools.viewer)
        self.other_problems: list[Callable[[], str | None]] = []
        """Of files that others than this agent's parts read."""
        self.doctor = Doctor(self._core, self.pools, self._file_problems)
        self._recovery = Recovery(self._core, self.pools.verbs.by_plan)
        self._startup = Startup(self._core, self.pools, self._tried)
        self._background: set[asyncio.Task[None]] = set()

    @property
    def backend_problems(self) -> Mapping[str, str]:
        """Backends whose last inspection failed, with the reason."""
        return self.observer.snapshot.problems

    @property
    def settled(self) -> bool:
        """Whether nothing runs and every pool that start-up opens was tried."""
        return not self._core.opening and not any(op.running for op in self.operations.all())

    def _keys(self) -> Keys:
        file = self._state.file(self.settings.keys_path.name)
        key_file = self._own_file(self.settings.api_key_path)
        return Keys(file, key_file, self.clock, self.changes)

    def _compose(self) -> Core:
        settings, machine, clock = self.settings, self._machine, self.clock
        executor = Executor(self.observer, machine, clock, self._patience)
        state, changes = self._state, self.changes
        self.observer.subscribe(lambda *_: self._machine_changed())
        return Core(
            settings=settings,
            machine=machine,
            clock=clock,
            host=self.host,
            observer=self.observer,
            registry=self.operations,
            journal=Journal(state.directory(settings.journal_dir.name)),
            metadata=MetadataStore(state.file(settings.metadata_path.name), clock, changes),
            tombstones=Tombstones(state.file(settings.tombstones_path.name), clock, changes),
            protection=ProtectionStore(state.file(settings.protection_path.name), changes),
            executor=executor,
            undoer=Undoer(
                executor, self.observer, self.host, machine.signatures, clock, self._patience
            ),
            changes=changes,
        )

    def _machine_changed(self) -> None:
        self.machine_changed_at = self.clock.monotonic()
        self.changes.tell()

    def _own_file(self, path: Path) -> OwnFile:
        return self._machine.files.directory(path.parent).file(path.name)

    async def start(self) -> None:
        """Read what is remembered, look at the machine, settle what was interrupted.

        Returns when reads can be served; recovery and opening go on in the background.
        """
        core = self._core
        self._state.make()
        self.keys.load()
        core.metadata.load()
        core.tombstones.load()
        core.protection.load()
        for warning in self._file_problems():
            log.warning("%s", warning)
        if not self._machine.mounts.in_host_mount_namespace():
            log.warning(
                "the agent runs in a mount namespace of its own: other programs may not see "
                "its mounts; remove ProtectSystem=, PrivateTmp= and the like from its unit"
            )
        await self.observer.start()
        for pattern in unmatched(self.settings.exclude_drives, self.observer.snapshot.drives):
            log.warning("exclude_drives: no connected drive matches %r; is it mistyped?", pattern)
        await learn(core)
        self._startup.mark()
        self.host.notify_pools_found(pools_at_start(core))
        self.operations.on_finished(self._finished)
        recoveries = self._recovery.begin()
        self.observer.subscribe(self._changed)
        self._spawn(self._open_after(recoveries))
        self._spawn(self._startup.seal_places())
        self._spawn(self.operations.run_sweeper())

    async def _open_after(self, recoveries: Sequence[Operation]) -> None:
        await self._startup.open_all({operation.guid: operation for operation in recoveries})

    def _tried(self, guid: str) -> None:
        """Start-up is done with this pool: what is seen of it counts."""
        entry = self._core.metadata.get(guid)
        if entry is not None:
            self.host.notify_pools_found((pool_found(self._core, entry),))

    def _changed(self, before: Snapshot, after: Snapshot) -> None:
        """Drives came or went: pending work may go on, old entries may be recognised. Or a
        replaced member was let go."""
        if self.host.listeners:
            for change in changes_between(self._core, before, after):
                self.host.notify_pool_changed(change)
        same = {drive.id for drive in before.drives} == {drive.id for drive in after.drives}
        if not same or awaits_leavers(self._core):
            self._spawn(self._learn())
        if same:
            return
        if self._core.pending:
            self._recovery.retry()
        self._spawn(self._startup.open_late())

    def _finished(self, operation: Operation) -> None:
        """Reconcile the metadata with the snapshots taken while the operation ran."""
        self.host.notify_operation_finished(operation.record())
        self._audit(operation)
        if awaits_leavers(self._core):
            self._spawn(self._learn())

    def _file_problems(self) -> tuple[str, ...]:
        core = self._core
        warnings = (*self.keys.warnings, *core.metadata.warnings, *core.tombstones.warnings)
        problems = (self.audit.problem, *(problem() for problem in self.other_problems))
        return (*warnings, *filter(None, problems))

    def _audit(self, operation: Operation) -> None:
        """The end of an operation, also of those that no call asked for."""
        self.audit.write(
            "operation",
            operation=operation.id,
            kind=operation.kind,
            pool=operation.guid,
            label=operation.label or None,
            outcome=operation.state,
            error=plain(operation.error_message),
        )

    async def _learn(self) -> None:
        try:
            await learn(self._core)
        except SystemFailure as error:  # a full disk: the next look learns it
            log.warning("What was seen of the pools could not be noted: %s", error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def stop(self) -> None:
        """Let operations end or roll back within the grace time; then end everything."""
        await self.operations.shutdown(self.settings.shutdown_grace_s)
        for task in tuple(self._background):
            task.cancel()
        await self.observer.stop()
        await self._machine.programs.all_ended()
        await self.audit.settle()


def _loaded_plugins(settings: Settings, machine: Machine) -> PluginHost:
    return load_backends(
        tables=settings.plugins,
        plugins_dir=settings.plugins_dir,
        plan_deadline_s=settings.plugin_deadline_s,
        inspect_deadline_s=settings.inspect_deadline_s,
        has_program=machine.programs.installed,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        success_s=settings.success_retention_s,
        read_grace_s=settings.failed_output_grace_s,
        unread_s=settings.unread_failure_min_age_s,
        max_records=settings.max_operations,
        max_output=settings.max_output_bytes,
    )
