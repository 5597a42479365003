"""The observer keeps one snapshot of the machine, which readers get without waiting.

Kernel events make it scan again, at a limited rate. Callers that need certainty request a scan
that starts after their call. The observer owns the event sources and its tasks from
:meth:`Observer.start` to :meth:`Observer.stop`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, TypeVar

from backy_core.config.settings import Settings
from backy_core.machine.board import Board, OnChange
from backy_core.machine.following import Follower
from backy_core.machine.happened import ANYTHING, NOTHING, Touched
from backy_core.machine.inspections import Begun, Inspections
from backy_core.machine.poller import Poller
from backy_core.machine.probe import MachineProbe
from backy_core.machine.shared import Shared
from backy_core.machine.snapshot import Snapshot
from backy_core.machine.survey import Answer, Survey, Surveyor
from backy_core.plugins.host import PluginHost
from backy_core.sdk.errors import BackendFailure
from backy_core.sdk.models import DriveId, PoolReport
from backy_core.sdk.stack import Layer
from backy_core.system.absence import LookFailed
from backy_core.system.clock import Clock
from backy_core.system.machine import Machine
from backy_core.system.mounts import MountEntry
from backy_core.system.udev import KernelEvents

T = TypeVar("T")

_log = logging.getLogger(__name__)

_PUBLISH_AFTER_S = 2.0
"""Slow backends do not keep what the others see from being shown."""


class Observer:
    def __init__(
        self,
        settings: Settings,
        host: PluginHost,
        machine: Machine,
        clock: Clock,
        events: KernelEvents | None = None,
    ) -> None:
        self._settings = settings
        self._host = host
        self._machine = machine
        self._clock = clock
        self._events = events
        self._surveyor = Surveyor(settings, machine, clock)
        self._inspections = Inspections(
            settings, host, machine, clock, self._surveyor.cache, announced=events is not None
        )
        self._board = Board({name: backend.info for name, backend in host.backends.items()})
        self._poller = Poller(self, host, clock, settings.drives_rescan_s)
        self._everything = Shared(self._look)
        self._own = {name: Shared(partial(self._inspect, name)) for name in host.backends}
        self._wanted: dict[str, Touched] = {}
        """What the next one in ``_own`` is asked about, by those who wait for it."""
        self._admissions = {name: Shared(partial(self._look_for, name)) for name in host.backends}
        self._follower = Follower(clock, self._follow)
        self._only_mounts = True
        """Nothing else changed since the last scan began."""

    @property
    def snapshot(self) -> Snapshot:
        """The last one; never waits."""
        return self._board.snapshot

    def asked_at(self, backend: str) -> float:
        """When it last began to inspect all its pools, by the monotonic clock; 0: never."""
        return self._inspections.asked_at(backend)

    def subscribe(self, callback: OnChange) -> Callable[[], None]:
        """Call back in the loop with the snapshots before and after each change, until the returned
        function is called."""
        return self._board.subscribe(callback)

    async def start(self) -> None:
        """Listen first, then look: nothing that happens in between is missed."""
        if self._events is not None:
            loop = asyncio.get_running_loop()
            self._events.start(loop, self._on_block, self._on_mdstat, self._on_mounts)
        await self.refresh()
        self._follower.start()
        self._poller.start()

    async def stop(self) -> None:
        """No look starts after this; one that runs is ended."""
        if self._events is not None:
            self._events.stop()
        await self._poller.stop()
        await self._follower.stop()
        own, admissions = self._own.values(), self._admissions.values()
        shared: tuple[Shared[Any], ...] = (self._everything, *own, *admissions)
        tasks = {task for looks in shared for task in looks.tasks()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def refresh(self, fresh_signatures_of: Iterable[str] = ()) -> Snapshot:
        """A complete look that starts after this call; callers share it.

        Devices named in ``fresh_signatures_of`` are probed whatever is remembered.
        """
        self._surveyor.cache.forget(fresh_signatures_of)
        return await self._everything()

    async def refresh_for(self, backend: str, fresh_signatures_of: Iterable[str] = ()) -> Snapshot:
        """A scan for an operation on a pool of ``backend``, which starts after this call; callers
        share it.

        Other backends keep their last answer, unless something happened since, or no kernel event
        announces their changes.
        """
        self._surveyor.cache.forget(fresh_signatures_of)
        look = self._admissions.get(backend, self._everything)  # its plugin may be gone
        return await look()

    async def _look_for(self, backend: str) -> Snapshot:
        asking = self._inspections
        with asking.beginning(self._host.backends) as begun:
            survey = await self._survey()
            changed = [b for b in self._host.backends if b == backend or not asking.unchanged(b)]
            scopes = (
                NOTHING if name != backend and asking.is_announced(name) else ANYTHING
                for name in changed
            )
            asked = map(partial(asking.ask, survey=survey, begun=begun), changed, scopes)
            answers = await asyncio.gather(*asked)
            return await self._post(survey, dict(zip(changed, answers, strict=True)))

    async def refresh_drives(self) -> Snapshot:
        """Devices, mounts and signatures, without asking the backends."""
        return self._board.post(await self._survey(), {})

    async def rescan(self) -> None:
        """Scan, and ask only backends for which anything differs from when they inspected last, or
        that could not answer then: drives that nobody reads can sleep. Mounts matter only to
        backends that deliver a filesystem."""
        with self._inspections.beginning(self._host.backends) as begun:
            survey = await self._survey()
            due = [backend for backend in self._host.backends if self._is_due(backend, survey)]
            await self._ask_each(due, survey, begun)

    def _is_due(self, backend: str, survey: Survey) -> bool:
        shown, snapshot = self._inspections.shown(backend), self.snapshot
        if shown is None or backend in snapshot.problems or snapshot.unreadable.get(backend):
            return True
        delivers = self._host.backends[backend].info.delivers
        return survey.concerning(delivers) != shown.concerning(delivers)

    async def poll(self, backend: str) -> str | None:
        """Poll the backend for changes without an event; None: it has to inspect its pools to tell.
        Raises :class:`BackendFailure`."""
        survey = self._inspections.shown(backend) or await self._survey()
        probe = self._inspections.probe(self._host.backends[backend].info, survey)
        return await self._host.poll(backend, probe)

    async def follow_mounts(self) -> None:
        """Look again if a filesystem changed without an event."""
        if await self._surveyor.mounts_changed(self.snapshot):
            await self.rescan()

    async def follow_arrays(self) -> None:
        """Look again at md arrays that changed without an event."""
        if changed := await self._surveyor.changed_arrays():
            self._note(Touched.of(devices=changed))

    async def inspect(
        self, backend: str, about: Touched = ANYTHING, *, fresh: bool = True
    ) -> tuple[PoolReport, ...]:
        """Inspect one backend's pools, leaving out those that cannot be read now
        (:meth:`Snapshot.unseen_because`). Callers share it. Raises :class:`BackendFailure`.

        ``about``: look at no more than these and what was touched since the last inspection, if the
        backend can; its other pools are as they were reported then. Not ``fresh``: the answer of
        the last second is used, if no kernel event came and no operation acted since that
        inspection began, and events announce the backend's changes.
        """
        self._host.backend(backend)  # a journal may be older than the removal of its plugin
        if not fresh and (recent := self._inspections.recent(backend)) is not None:
            return recent.reports
        self._wanted[backend] = self._wanted.get(backend, NOTHING) | about
        return await self._own[backend]()

    async def _inspect(self, backend: str) -> tuple[PoolReport, ...]:
        about = self._wanted.pop(backend, ANYTHING)
        with self._inspections.beginning((backend,)) as begun:
            survey = await self._survey()
            answer = await self._inspections.ask(backend, about, survey=survey, begun=begun)
            await self._post(survey, {backend: answer})
        if isinstance(answer, str):
            raise BackendFailure(f"Backend {backend} cannot inspect its pools", details=answer)
        return answer.reports

    async def probe(self, backend: str) -> MachineProbe:
        """What ``backend`` would be shown if it inspected its pools now."""
        info = self._host.backends[backend].info
        return self._inspections.probe(info, await self._survey())

    def note_action(self, touched: Touched = ANYTHING) -> None:
        """An operation is about to change these, or has just done so."""
        self._inspections.history.note(touched)
        self._follower.note_work()

    def names_of(self, drives: Iterable[DriveId]) -> frozenset[str]:
        """Kernel names of those of these drives that were connected at the last scan."""
        wanted = frozenset(drives)
        return frozenset(drive.name for drive in self.snapshot.drives if drive.id in wanted)

    def quiet(self) -> AbstractContextManager[None]:
        """Hold back scans because of events: see :meth:`Follower.quiet`."""
        return self._follower.quiet()

    def forget_signatures(self, names: Iterable[str]) -> None:
        """These devices were, or may have been, written to."""
        self._surveyor.cache.forget(names)

    async def _look(self) -> Snapshot:
        with self._inspections.beginning(self._host.backends) as begun:
            return await self._ask_each(self._host.backends, await self._survey(), begun)

    async def _ask_each(
        self,
        backends: Iterable[str],
        survey: Survey,
        begun: Begun,
        touched: Touched = ANYTHING,
    ) -> Snapshot:
        ask = partial(self._inspections.ask, touched=touched, survey=survey, begun=begun)
        tasks = {backend: asyncio.create_task(ask(backend)) for backend in backends}
        if not tasks:
            return self._board.post(survey, {}, await self._elsewhere(survey, {}))
        try:
            _, slow = await asyncio.wait(tasks.values(), timeout=_PUBLISH_AFTER_S)
            if slow:
                self._board.post(survey, {b: t.result() for b, t in tasks.items() if t.done()})
                await asyncio.wait(slow)
        finally:
            for task in tasks.values():
                task.cancel()
        answers = {backend: task.result() for backend, task in tasks.items()}
        return await self._post(survey, answers, await self._elsewhere(survey, answers))

    async def _post(
        self,
        survey: Survey,
        answers: Mapping[str, Answer | str],
        elsewhere: tuple[MountEntry, ...] | None = None,
    ) -> Snapshot:
        """Show the answers of backends, together with the layers that lie over their pools."""
        layers = {
            kind: await self._inspections.ask_layer(kind, survey)
            for kind in self._host.layers.loaded
        }
        return self._board.post(survey, answers, elsewhere, layers=layers)

    def layers_unseen_because(self, layers: Iterable[Layer]) -> str | None:
        """Why nothing new can be told of one of these layers; None if all can be inspected."""
        asked = tuple(layers)
        return self._host.layers.missing_of(asked) or self.snapshot.layer_unseen_because(asked)

    async def _elsewhere(
        self, survey: Survey, answers: Mapping[str, Answer | str]
    ) -> tuple[MountEntry, ...] | None:
        """Mounts in other mount namespaces; None if they cannot be read. This reads every process,
        so it is done only while a pool runs that is not mounted here."""
        fresh = {name: a.reports for name, a in answers.items() if not isinstance(a, str)}
        by_backend = {**self.snapshot.reports, **fresh}
        reports = [report for reports in by_backend.values() for report in reports]
        local = Snapshot(devices=survey.devices, mounts=survey.mounts)
        if all(
            local.mounts_of(report)
            for report in reports
            if report.presence == "active" and report.usable
        ):
            return ()
        try:
            read = self._machine.mounts.read_namespaces
            elsewhere = await self._machine.threads.apart(read, "mount namespaces")
        except LookFailed as error:
            _log.debug("Mounts of other processes are unknown: %s", error)
            return None
        return tuple(dict.fromkeys(mount for mounts in elsewhere.values() for mount in mounts))

    async def _survey(self) -> Survey:
        """Raises :class:`LookFailed`; what was seen last then stays, and is said to be old."""
        self._follower.note_work()
        try:
            return await self._surveyor.look()
        except LookFailed as error:
            self._board.doubt(str(error))
            self._note(ANYTHING)  # to look again, by and by
            raise

    def _on_block(self, action: str, name: str) -> None:
        _log.debug("Block device %s: %s", name or "(any)", action)
        self._surveyor.cache.forget((name,))
        self._note(Touched.of(devices=(name,)) if name else ANYTHING)

    def _on_mdstat(self) -> None:
        self._note(Touched(arrays=True))

    def _note(self, touched: Touched) -> None:
        self._only_mounts = False
        self._inspections.history.note(touched)
        self._follower.announce()

    def _on_mounts(self) -> None:
        self._inspections.history.note(NOTHING)
        self._follower.announce()

    async def _follow(self) -> None:
        """Scan for what was announced, and inspect what it names; nothing if that was seen."""
        only_mounts, self._only_mounts = self._only_mounts, True
        asking = self._inspections
        if all(map(asking.is_current, self._host.backends)):
            return
        if only_mounts:
            await self.rescan()
            return
        with asking.beginning(self._host.backends) as begun:
            due = [b for b in self._host.backends if not asking.is_current(b)]
            await self._ask_each(due, await self._survey(), begun, NOTHING)
