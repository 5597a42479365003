"""How plugins are called: foreign code that may never return."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from backy_core.plugins.inspect_thread import Looker
from backy_core.plugins.threads import call_async_within
from backy_core.sdk.models import Probe

T = TypeVar("T")


class Looks(Protocol):
    """Inspections of one backend: :class:`Looker`."""

    async def look(
        self, ask: Callable[[Probe], Awaitable[T]], probe: Probe, deadline_s: float
    ) -> T: ...


class PluginCalls(Protocol):
    """Calls of hooks while the agent runs. A simulation, which has no threads, hands in its own."""

    async def within(self, call: Callable[[], T], name: str, deadline_s: float) -> T: ...

    def looks(self, name: str) -> Looks: ...


class OwnThreads:
    """Each call in a thread of its own, and each backend's inspections in one of theirs."""

    async def within(self, call: Callable[[], T], name: str, deadline_s: float) -> T:
        return await call_async_within(call, name, deadline_s)

    def looks(self, name: str) -> Looks:
        return Looker(name)


OWN_THREADS = OwnThreads()
