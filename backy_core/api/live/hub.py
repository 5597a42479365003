"""Follows the agent for all clients of the events, and only while there are any.

Each event is made once and sent to every client as the same bytes. Between two rounds lies a moment
in which changes gather: a program that prints a thousand lines makes few events.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import Any

from backy_core.api.agent import Agent
from backy_core.api.live.ring import RING_BYTES, Ring
from backy_core.api.live.told import Told
from backy_core.api.server.streams import Feed, Part, Stream

HEARTBEAT_S = 15.0
_GATHER_S = 0.05
_USAGE_S = 0.1
"""How long a filesystem that does not answer can hold up an event."""
_HEARTBEAT = Part(b": heartbeat\n\n")
_RESUMED = Part(b": resumed\n\n")

log = logging.getLogger(__name__)


class LiveEvents:
    """One for each application; :meth:`feed` is what a client follows."""

    def __init__(self, agent: Agent, ring_bytes: int = RING_BYTES) -> None:
        self._agent = agent
        self._ring = Ring(agent.agent_instance, ring_bytes)
        self._told = Told(agent.agent_instance)
        self._snapshots: dict[str, Part] = {}
        """By reason, as long as nothing changes."""
        self._streams: dict[Stream, Callable[[], bool]] = {}
        """With what tells whether the client is still accepted."""
        self._keys: object = None
        """As they were when that was last asked."""
        self._changed = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        agent.changes.subscribe(self._changed.set)

    @property
    def clients(self) -> int:
        return len(self._streams)

    async def catch_up(self) -> None:
        """Before the first client is fed: what changed while nobody listened."""
        if not self._streams:
            await self._update()

    def feed(self, last_event_id: str, accepted: Callable[[], bool]) -> Feed:
        """What a client gets that had all events up to this one (empty: none), for as long as it
        is ``accepted``."""

        def begin(stream: Stream) -> Callable[[], None]:
            stream.begin(self._first(last_event_id))
            self._streams[stream] = accepted
            if not self._tasks:
                self._tasks = (_started(self._follow()), _started(self._beat()))
            return partial(self._leave, stream)

        return begin

    def _leave(self, stream: Stream) -> None:
        del self._streams[stream]
        if not self._streams:
            for task in self._tasks:
                task.cancel()
            self._tasks = ()

    def _first(self, last_event_id: str) -> Part:
        """The events that were missed, or a snapshot that says why not."""
        if not last_event_id:
            return self._snapshot("connected")
        if not self._ring.knows(last_event_id):
            return self._snapshot("restarted")
        missed = self._ring.since(last_event_id)
        if missed is None:
            return self._snapshot("gap")
        return Part(missed) if missed else _RESUMED

    def _snapshot(self, reason: str) -> Part:
        if reason not in self._snapshots:
            self._snapshots[reason] = Part(self._ring.framed(self._told.snapshot(reason)))
        return self._snapshots[reason]

    async def _follow(self) -> None:
        while True:
            await self._changed.wait()
            try:
                await self._update()
            except Exception:
                log.exception("The events of a change could not be made")
            await self._agent.clock.sleep(_GATHER_S)

    async def _beat(self) -> None:
        """Show clients that the agent lives, and how full pools are, which no event tells."""
        while True:
            await self._agent.clock.beat(HEARTBEAT_S)
            self._send(_HEARTBEAT)
            self._changed.set()

    async def _update(self) -> None:
        async with self._one_at_a_time:
            self._changed.clear()
            self._check_keys()
            pools = await self._agent.pools.list(usage_within_s=_USAGE_S)
            drives = await self._agent.drives_service.list()
            events = self._told.follow(self._agent.operations.all(), pools, drives)
            if events:
                self._snapshots.clear()
                self._send(Part(b"".join(map(self._ring.add, events))))

    def _check_keys(self) -> None:
        """A key that was revoked opens nothing, and keeps nothing open."""
        keys = self._agent.keys.entries()
        if keys is not self._keys:
            self._keys = keys
            self.end_refused()

    def end_refused(self) -> None:
        """End the streams of clients that are not accepted any more."""
        for stream in [each for each, accepted in self._streams.items() if not accepted()]:
            stream.end()

    def _send(self, part: Part) -> None:
        for stream in tuple(self._streams):
            stream.send(part)


def _started(work: Any) -> asyncio.Task[None]:
    """In a context of its own: that of the request would keep the request."""
    return asyncio.get_running_loop().create_task(work, context=Context())
