"""The pool use cases, as the API and the start-up call them.

Every change is an operation in the registry; this class decides which, joins repeats, and
otherwise leaves the work to the modules beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

from backy_core.operations.kinds import OperationKind
from backy_core.operations.records import Operation
from backy_core.pools.admission import forcing
from backy_core.pools.admission.adding import AddRequest
from backy_core.pools.admission.busy import processes_of
from backy_core.pools.admission.requests import (
    checked_guid,
    checked_label,
    checked_mount_path,
    complete,
)
from backy_core.pools.core import Core
from backy_core.pools.lifecycle import importing
from backy_core.pools.lifecycle.importing import ImportRequest
from backy_core.pools.lifecycle.kill import Kill
from backy_core.pools.lifecycle.learning import learn
from backy_core.pools.lifecycle.open import OpenRequest
from backy_core.pools.lifecycle.verb import PoolVerb
from backy_core.pools.lifecycle.verbs import Verbs
from backy_core.pools.reading import forced
from backy_core.pools.reading.dry_runs import described
from backy_core.pools.reading.measuring import Measuring
from backy_core.pools.reading.members import Consent
from backy_core.pools.reading.mounted import MountedPool, mounted_pool
from backy_core.pools.reading.usage import UsageReader
from backy_core.pools.reading.viewing import PoolViewer
from backy_core.pools.views import (
    CreateRequest,
    ImportablePool,
    PlannedCreation,
    PlannedMount,
    PlannedStep,
    PoolState,
    PoolView,
    PoolViews,
)
from backy_core.sdk.errors import Conflict, InvalidRequest, NotFound
from backy_core.sdk.plan import Plan
from backy_core.store.metadata import PoolEntry
from backy_core.system.mounts import Usage
from backy_core.system.procs import ProcessInfo

RequestT = TypeVar("RequestT")

_JOIN_S = 50.0
"""Clients give up after a minute."""
_AT_START = OpenRequest(degraded=False)
_HIDDEN = (PoolState.FAILED, PoolState.DELETED)


class PoolService:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._usage = UsageReader(core.machine.mounts, core.clock)
        self._measuring = Measuring(self._usage, core.clock)
        self.viewer = PoolViewer(core)
        self.verbs = Verbs(core, self.viewer)

    # reading

    @property
    def default_backend(self) -> str:
        """Of a pool whose request names none."""
        return self._core.settings.default_backend

    async def get(self, guid: str) -> PoolView:
        return await self._measuring.one(self.viewer.view(checked_guid(guid)))

    async def list(
        self,
        *,
        backend: str | None = None,
        state: str | None = None,
        usage_within_s: float | None = None,
    ) -> PoolViews:
        """The pools of one backend or in one state; the same object while nothing changes, if
        neither is given. After ``usage_within_s`` the last known usage is taken."""
        selected = _state(state)
        views = await self._measuring.all(self.viewer.all(), usage_within_s)
        shown = views.once(_shown) if selected is None else _in_state(views, selected)
        if backend is None:
            return shown
        return PoolViews(view for view in shown if view.backend == backend)

    async def outputs(
        self, guid: str, offset: int = 0, *, by_operator: bool = True
    ) -> tuple[tuple[str, ...], int]:
        """Lines from ``offset`` on, and the number of the next one. Once an operator has read them,
        an ended failure is kept for only so long."""
        operations = self._core.registry.of_pool(checked_guid(guid))
        if not operations:
            raise NotFound(f"No outputs of pool {guid} are kept")
        latest = operations[-1]
        if by_operator:
            self._core.registry.mark_read(latest)
        return latest.outputs.since(offset), latest.outputs.next_offset

    # creating

    async def create(self, request: CreateRequest) -> tuple[str, Operation | None]:
        """Returns once the journal has the promise; None: the pool is there already."""
        creation = complete(request, self._core.host, self._core.settings)
        op = self.verbs.create.start(creation)
        if op is not None:
            await op.accepted()
        return creation.guid, op

    async def dry_run(self, request: CreateRequest) -> PlannedCreation:
        creation = complete(request, self._core.host, self._core.settings)
        admitted = await self.verbs.create.dry_run(creation)
        return PlannedCreation(
            steps=await self._described(admitted.plan),
            portability=request.portability,
            opens_on=admitted.entry.opens_on,
        )

    # the rest of a pool's life

    async def mount(
        self,
        guid: str,
        mount_path: str | None = None,
        *,
        degraded: bool = True,
        force: bool = False,
        label: str | None = None,
    ) -> Operation:
        """``force``: read-only, with members that are behind; only with the pool's ``label``."""
        path = checked_mount_path(mount_path) if mount_path is not None else None
        entry = self._core.entry(checked_guid(guid))
        if force:
            forcing.check_capability(self._core.host.backend(entry.backend).info)
            forcing.check_label(entry, label)
        if degraded:
            await self._after_startup(guid)
        return await self.start(self.verbs.open, guid, OpenRequest(path, degraded, force))

    async def plan_mount(
        self, guid: str, mount_path: str | None = None, *, force: bool = False
    ) -> PlannedMount:
        """Plan what :meth:`mount` would do and run nothing. A dry run needs no label."""
        path = checked_mount_path(mount_path) if mount_path is not None else None
        entry = self._core.entry(checked_guid(guid))
        info = self._core.host.backend(entry.backend).info
        if force:
            forcing.check_capability(info)
        self._core.registry.refuse_busy(guid)
        request = OpenRequest(path, force=force)
        plan, report = await self.verbs.open.dry_run(guid, request)
        return PlannedMount(
            steps=await self._described(plan),
            members=forced.members(report),
            may_be_lost=forced.may_be_lost(report, info.delivers) if force else None,
        )

    async def _after_startup(self, guid: str) -> None:
        """Start-up opens with all members only; who asks for more must not get its refusal."""
        opening = self._core.opening.get(guid)
        if opening is not None:
            await _patiently(opening.wait())
        running = self._core.registry.running_on(guid)
        if running is not None and running.fingerprint == self.verbs.open.fingerprint(_AT_START):
            await _patiently(running.ended())

    async def unmount(self, guid: str) -> Operation:
        self._core.entry(checked_guid(guid))
        return await self.start(self.verbs.close, guid, None)

    async def delete(
        self,
        guid: str,
        *,
        wipe: bool = False,
        wipe_copies: Sequence[str] = (),
        destroy_others: Sequence[str] = (),
    ) -> Operation:
        """``wipe``: also what came into the pool after its creation was interrupted. The others
        name what is not the pool's own."""
        await self._after_recovery(OperationKind.DELETE, checked_guid(guid))
        consent = Consent(wipe, frozenset(wipe_copies), frozenset(destroy_others))
        done = await self.verbs.teardown.prepare(guid)
        return done or await self.start(self.verbs.teardown, guid, consent)

    async def plan_unmount(self, guid: str) -> tuple[PlannedStep, ...]:
        """Plan what :meth:`unmount` would do and run nothing."""
        return await self._shown(guid, self.verbs.close.dry_run)

    async def plan_delete(self, guid: str, consent: Consent) -> tuple[PlannedStep, ...]:
        """Plan what :meth:`delete` would do and run nothing."""
        return await self._shown(guid, partial(self.verbs.teardown.dry_run, consent=consent))

    async def plan_add_drive(
        self,
        guid: str,
        *,
        serial: str | None,
        dev_path: str | None,
        replaces: str | None,
        wipe: bool,
    ) -> tuple[PlannedStep, ...]:
        """Plan what :meth:`add_drive` would do and run nothing."""
        named = self.verbs.add_drive.serial_of(serial, dev_path)
        request = AddRequest(named, replaces, wipe)
        return await self._shown(guid, partial(self.verbs.add_drive.dry_run, request=request))

    async def _shown(
        self, guid: str, dry_run: Callable[[str], Awaitable[Plan | None]]
    ) -> tuple[PlannedStep, ...]:
        self._core.registry.refuse_busy(checked_guid(guid))
        return await self._described(await dry_run(guid))

    async def _described(self, plan: Plan | None) -> tuple[PlannedStep, ...]:
        return await described(plan, self._core.executor.binder) if plan else ()

    async def add_drive(
        self,
        guid: str,
        *,
        serial: str | None,
        dev_path: str | None,
        replaces: str | None,
        wipe: bool,
    ) -> Operation:
        self._core.entry(checked_guid(guid))
        named = self.verbs.add_drive.serial_of(serial, dev_path)
        return await self.start(self.verbs.add_drive, guid, AddRequest(named, replaces, wipe))

    async def kill(self, guid: str, pids: Sequence[int], action: str | None) -> Operation:
        """End processes that hold the pool, then do what they stood in the way of."""
        self._core.entry(checked_guid(guid))
        return await self.start(self._killing(action), guid, tuple(pids))

    def _killing(self, action: str | None) -> Kill:
        for verb in self.verbs.kills:
            if verb.action == action:
                return verb
        choices = " or ".join(verb.action for verb in self.verbs.kills if verb.action)
        raise InvalidRequest(f"Unknown action {action}", hint=f"Use {choices}")

    async def start(self, verb: PoolVerb[RequestT], guid: str, request: RequestT) -> Operation:
        """Start ``verb`` on a pool, or join an operation that does the same. Returns once it is
        admitted; raises what refused it."""

        async def body(op: Operation) -> None:
            await verb.run(op, guid, request)

        await self._after_recovery(verb.kind, guid)
        state = self.viewer.state(guid)
        entry = self._core.metadata.get(guid)
        op = self._core.registry.start(
            verb.kind,
            guid,
            verb.fingerprint(request),
            verb.claims(request),
            body,
            label=entry.label if entry else "",
            cancellable=verb.cancellable,
        )
        if op.earlier_state is None and not op.is_accepted:
            op.earlier_state = state
        await op.accepted()
        return op

    async def _after_recovery(self, kind: OperationKind, guid: str) -> None:
        """A call that was sent again after a crash finds its work going on: it waits for that,
        and finds it done or tries again."""
        running = self._core.registry.running_on(guid)
        if running is not None and running.recovers and running.kind is kind:
            await _patiently(running.ended())

    async def rename(
        self, guid: str, label: str | None, drive_labels: dict[str, str] | None
    ) -> PoolView:
        entry = self._core.entry(checked_guid(guid))
        labels = dict(drive_labels or {})
        strangers = sorted(set(labels) - set(entry.drive_serials))
        if strangers:
            raise InvalidRequest(f"Drive {strangers[0]} is not a member of this pool")
        name = checked_label(label) if label is not None else None
        with self._core.registry.reserved(guid):
            await self._core.metadata.revise(
                guid,
                lambda entry: entry.model_copy(
                    update={
                        "label": entry.label if name is None else name,
                        "drive_labels": {**entry.drive_labels, **labels},
                    }
                ),
            )
        return await self.get(guid)

    # mounts and processes

    async def processes(self, guid: str) -> tuple[ProcessInfo, ...]:
        return await processes_of(self._core, self._core.entry(checked_guid(guid)))

    async def mounted_pool(self, path: str) -> MountedPool:
        """Raises :class:`NotFound`, with what is there instead."""
        return await mounted_pool(self._core, self.viewer, path)

    async def mount_usage(self, path: str) -> Usage:
        mount_point = _required(self._places(), path)
        usage = await self._usage.read([mount_point])
        if mount_point not in usage:
            raise Conflict(f"The filesystem at {mount_point} does not answer")
        return usage[mount_point]

    def _places(self) -> dict[str, PoolEntry]:
        """Pools by the paths where they are mounted and reachable."""
        entries = self._core.metadata.entries()
        return {path: entry for entry in entries if (path := self.viewer.mounted_at(entry))}

    # pools from elsewhere, and the metadata

    async def importable(self) -> tuple[ImportablePool, ...]:
        return await importing.listed(self._core)

    async def import_pool(self, guid: str, label: str | None, mount_path: str | None) -> PoolView:
        if self._core.metadata.get(checked_guid(guid)) is None:
            request = ImportRequest(label, mount_path)
            op = await self.start(self.verbs.import_pool, guid, request)
            await op.wait()
        return await self.get(guid)

    async def forget(self, guid: str) -> None:
        """Drop the entry; the drives are not touched and the pool becomes importable."""
        self._core.entry(checked_guid(guid))
        with self._core.registry.reserved(guid):
            await self._core.metadata.remove(guid)

    async def forget_all(self) -> int:
        """Drop every entry no operation works on; returns how many."""
        registry, forgotten = self._core.registry, 0
        for entry in self._core.metadata.entries():
            if registry.running_on(entry.guid) is None:
                with registry.reserved(entry.guid):
                    await self._core.metadata.remove(entry.guid)
                forgotten += 1
        return forgotten

    async def validate_metadata(self) -> int:
        """Bring entries up to what is seen; returns how many were changed."""
        await self._core.observer.refresh()
        return await learn(self._core)


def _required(places: Collection[str], path: str) -> str:
    """``path`` as one of ``places``, with or without its leading slash; else NotFound."""
    path_text = "/" + path.strip("/")
    if path_text not in places:
        raise NotFound(f"No pool is mounted at {path_text}")
    return path_text


async def _patiently(work: Awaitable[object]) -> None:
    """Wait for what goes on already. What takes longer than a client waits is told as a conflict
    by the operation that is started next."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_JOIN_S):
            await work


def _state(text: str | None) -> PoolState | None:
    if text is None:
        return None
    try:
        return PoolState(text)
    except ValueError:
        choices = ", ".join(state.value for state in PoolState)
        raise InvalidRequest(
            f"{text} is not a pool state", hint=f"Choose one of {choices}"
        ) from None


def _shown(views: PoolViews) -> PoolViews:
    """Those that are shown unless others are asked for."""
    return PoolViews(view for view in views if view.state not in _HIDDEN)


def _in_state(views: PoolViews, state: PoolState) -> PoolViews:
    return PoolViews(view for view in views if view.state is state)
