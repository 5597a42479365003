"""Asking backends and layers for what they see, and what each backend answered last."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from backy_core.config.settings import Settings
from backy_core.machine.happened import History, Touched
from backy_core.machine.probe import MachineProbe
from backy_core.machine.scoping import Standing, joined, scope_of
from backy_core.machine.signature_cache import SignatureCache
from backy_core.machine.survey import Answer, Survey
from backy_core.plugins.host import PluginHost
from backy_core.sdk.errors import BackyError
from backy_core.sdk.layers import LayerInfo
from backy_core.sdk.models import BackendInfo, PoolReport, Unreadable
from backy_core.sdk.scope import Scope
from backy_core.sdk.stack import LayerReport
from backy_core.system.clock import Clock
from backy_core.system.machine import Machine

T = TypeVar("T")

_log = logging.getLogger(__name__)

_RECENT_S = 1.0
"""Maximum age of an inspection that counts as current: no event and no action came since."""


class Begun(NamedTuple):
    """The beginning of an inspection, from before its scan on.

    ``alone``: the backends that no other inspection concerns which began before and still runs. Two
    scoped ones at once would each join their part with an answer that lacks the other's.
    """

    at: float
    mark: int
    alone: frozenset[str]
    answered: dict[str, Standing]
    """By backend; they stand once they are shown."""


class Inspections:
    """Asks plugins. A backend that can is asked for the pools that may have changed since its last
    answer, which stays for the others: see :mod:`backy_core.machine.scoping`."""

    def __init__(
        self,
        settings: Settings,
        host: PluginHost,
        machine: Machine,
        clock: Clock,
        cache: SignatureCache,
        *,
        announced: bool,
    ) -> None:
        self._settings = settings
        self._host = host
        self._machine = machine
        self._clock = clock
        self._cache = cache
        self._announced = announced
        """Events are listened to."""
        self.history = History()
        self._running: Counter[str] = Counter()
        self._asked: dict[str, float] = {}
        self._shown: dict[str, Survey] = {}
        self._standing: dict[str, Standing] = {}

    def asked_at(self, backend: str) -> float:
        """When it last began to inspect all its pools, by the monotonic clock; 0: never."""
        return self._asked.get(backend, 0.0)

    def shown(self, backend: str) -> Survey | None:
        """The scan that it was shown last; None if it was never asked."""
        return self._shown.get(backend)

    def recent(self, backend: str) -> Answer | None:
        """Its answer of the last second, if nothing was announced or done since that began."""
        standing = self._standing.get(backend)
        if standing is None or self._clock.monotonic() - standing.began >= _RECENT_S:
            return None
        return standing.answer if self.unchanged(backend) else None

    def unchanged(self, backend: str) -> bool:
        """Whether its last answer still holds: nothing was announced or done since that began, and
        events announce its changes."""
        return self.is_announced(backend) and self.is_current(backend)

    def is_current(self, backend: str) -> bool:
        """Whether its last answer is newer than everything that was announced or done."""
        standing = self._standing.get(backend)
        return standing is not None and standing.mark == self.history.mark

    def is_announced(self, backend: str) -> bool:
        """Whether events announce all its changes."""
        return self._announced and self._host.backends[backend].info.refresh_s is None

    @contextmanager
    def beginning(self, backends: Iterable[str]) -> Iterator[Begun]:
        """From before the scan until the answers are shown. ``backends``: all that may be asked."""
        names = tuple(backends)
        alone = frozenset(name for name in names if not self._running[name])
        self._running.update(names)
        try:
            yield (begun := Begun(self._clock.monotonic(), self.history.mark, alone, {}))
            for name, standing in begun.answered.items():
                newer = self._standing.get(name)
                if newer is None or newer.survey.ticket < standing.survey.ticket:
                    self._standing[name] = standing
        finally:
            self._running.subtract(names)

    async def ask(
        self, backend: str, touched: Touched, *, survey: Survey, begun: Begun
    ) -> Answer | str:
        """All its pools now, or why it cannot tell. ``touched``: inspect only what this is, and
        what was touched since its last answer, where that is possible."""
        last = self._standing.pop(backend, None)
        self._shown[backend] = survey
        answer: Answer | str | None = None
        if last is not None and backend in begun.alone and self._announced:
            answer = await self._ask_in_part(backend, survey, touched, last)
        if answer is None:
            self._asked[backend] = self._clock.monotonic()
            answer = await self._reported(backend, survey)
        if isinstance(answer, Answer):
            begun.answered[backend] = Standing(answer, survey, begun.mark, begun.at)
        return answer

    async def _ask_in_part(
        self, backend: str, survey: Survey, touched: Touched, last: Standing
    ) -> Answer | None:
        """The last answer with a new one for what was touched; None if it is unclear."""
        info = self._host.backends[backend].info
        if "scoped_inspect" not in info.capabilities or last.survey.ticket > survey.ticket:
            return None
        since = self.history.since(last.mark) | touched
        scope = scope_of(since, last, survey, info.delivers)
        if scope is None:
            return None
        part = await self._reported(backend, survey, scope)
        return joined(last, scope, part, survey) if isinstance(part, Answer) else None

    async def _reported(
        self, backend: str, survey: Survey, scope: Scope | None = None
    ) -> Answer | str:
        probe = self.probe(self._host.backends[backend].info, survey, scope)
        problem = f"Backend {backend} cannot inspect its pools"
        reported: Sequence[PoolReport | Unreadable] | str = await self._answer(
            self._host.inspect(backend, probe, scope), problem
        )
        return reported if isinstance(reported, str) else survey.answered(reported)

    async def ask_layer(self, kind: str, survey: Survey) -> tuple[LayerReport, ...] | str:
        """Its layers now, or why it cannot tell."""
        layers = self._host.layers
        probe = self.probe(layers.loaded[kind].info, survey)
        return await self._answer(layers.inspect(kind, probe), f"Layer {kind} cannot be inspected")

    async def _answer(self, asking: Awaitable[T], problem: str) -> T | str:
        """A plugin's answer, or why there is none. ``problem``: for the log."""
        deadline_s = self._settings.inspect_deadline_s
        try:
            async with asyncio.timeout(deadline_s + 1):
                return await asking
        except TimeoutError:
            return f"it did not answer within {deadline_s:g} s"
        except BackyError as error:
            _log.warning("%s: %s", problem, error)
            return str(error)

    def probe(
        self, info: BackendInfo | LayerInfo, survey: Survey, scope: Scope | None = None
    ) -> MachineProbe:
        """The view of ``survey`` that a plugin gets; ``scope``: of these devices alone."""
        signatures = survey.all_signatures()
        if scope is not None:
            signatures = tuple(s for s in signatures if s.device in scope.devices)
        deadline_s = self._settings.inspect_deadline_s
        drives = survey.probed_drives()
        return MachineProbe(info, drives, signatures, deadline_s, self._machine, self._cache)
