"""Run each backend's ``backy_inspect`` in its own thread with its own event loop.

``backy_inspect`` is a coroutine that may still block, by a sleep or a read of a dead disk. In the
agent's own loop that would delay every request; here it delays only this backend. Programs are
still started and awaited in the agent's loop.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from backy_core.plugins.threads import tamed
from backy_core.sdk.models import CommandOutcome, Probe, ProbedDrive, Signature

T = TypeVar("T")


class Looker:
    """The thread of one backend. It starts with the first inspection and ends with this object.

    While an abandoned inspection still blocks the thread, others fail at once: a new thread for
    each would leak a thread at every inspection.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._blocked = False

    async def look(
        self, ask: Callable[[Probe], Awaitable[T]], probe: Probe, deadline_s: float
    ) -> T:
        """The result of ``ask``. Raises TimeoutError after ``deadline_s`` seconds.

        Do not wait for the cancelled inspection: one that swallows the cancellation never ends.
        """
        if self._blocked:
            raise TimeoutError
        loop = self._running()
        relayed = RelayedProbe(probe, asyncio.get_running_loop())
        future = asyncio.run_coroutine_threadsafe(_answer(ask, relayed), loop)
        answer = asyncio.wrap_future(future)
        try:
            done, _ = await asyncio.wait({answer}, timeout=deadline_s)
        except asyncio.CancelledError:
            answer.cancel()
            raise
        if done:
            return answer.result()
        self._blocked = True
        answer.cancel()
        loop.call_soon_threadsafe(self._unblocked)
        raise TimeoutError

    def _unblocked(self) -> None:
        self._blocked = False

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            weakref.finalize(self, self._loop.call_soon_threadsafe, self._loop.stop)
            threading.Thread(target=_run, args=(self._loop,), name=self._name, daemon=True).start()
        return self._loop


class RelayedProbe:
    """A probe for a coroutine of another loop than the one the machine is looked at from."""

    def __init__(self, probe: Probe, loop: asyncio.AbstractEventLoop) -> None:
        self._probe = probe
        self._loop = loop

    @property
    def drives(self) -> tuple[ProbedDrive, ...]:
        return self._probe.drives

    @property
    def signatures(self) -> tuple[Signature, ...]:
        return self._probe.signatures

    async def read(self, *paths: str) -> tuple[str | None, ...]:
        return await self._probe.read(*paths)

    async def listdir(self, path: str) -> tuple[str, ...]:
        return await self._probe.listdir(path)

    async def superblock(self, signature: Signature, length: int) -> bytes | None:
        return await self._relayed(self._probe.superblock(signature, length))

    async def run(self, *argv: str) -> CommandOutcome:
        return await self._relayed(self._probe.run(*argv))

    async def _relayed(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))


async def _answer(ask: Callable[[Probe], Awaitable[T]], probe: Probe) -> T:
    try:
        return await ask(probe)
    except (asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as error:
        raise tamed(error) from error


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()
