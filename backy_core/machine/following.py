"""When to scan because of an event: at once after quiet, then at a limited rate."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

from backy_core.sdk.errors import BackyError
from backy_core.system.clock import Clock

_log = logging.getLogger(__name__)

_DEBOUNCE_S = 0.1
"""From one scan to the next, so that a burst of events is few scans."""
_BURST_S = 2.0
"""Pauses that may be owed: the scans of a burst follow each other until then."""
_QUIET_S = 2.0
_LONGEST_QUIET_S = 10.0
_RETRY_S = 5.0
"""How soon a look that failed is made again, where no event asks for one before."""


class Follower:
    """Scans after each announcement, from :meth:`start` until :meth:`stop`."""

    def __init__(self, clock: Clock, scan: Callable[[], Awaitable[object]]) -> None:
        self._clock = clock
        self._scan = scan
        self._pace = Pace(clock)
        self._task: asyncio.Task[None] | None = None
        self._stale = asyncio.Event()
        self._stale_since = self._busy_at = 0.0
        self.announced_at = 0.0
        """When something was last announced."""
        self._quiet = 0
        self._undisturbed = asyncio.Event()
        self._undisturbed.set()

    def start(self) -> None:
        self._pace.scanned(0)
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def announce(self) -> None:
        """Something changed: scan."""
        self.announced_at = self._clock.monotonic()
        if not self._stale.is_set():
            self._stale_since = self.announced_at
            self._stale.set()

    def note_work(self) -> None:
        """Somebody scans or acts: whoever asked for quiet still needs it."""
        self._busy_at = self._clock.monotonic()

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Hold back scans while the caller causes events and checks the outcome itself.

        A scan for each event would slow the commands that cause them. Scans still come if nobody
        has scanned or acted for 2 s, as during mkfs, because another drive may be pulled; and
        after 10 s in any case, for the other backends.
        """
        self._quiet += 1
        self._undisturbed.clear()
        try:
            yield
        finally:
            self._quiet -= 1
            if not self._quiet:
                self._undisturbed.set()

    async def _run(self) -> None:
        while True:
            await self._stale.wait()
            await self._until_undisturbed()
            await self._clock.idle(self._pace.wait_s())
            self._stale.clear()
            began = self._clock.monotonic()
            try:
                await self._scan()
            except BackyError as error:
                _log.warning("The scan failed; the last snapshot stays: %s", error)
                await self._clock.idle(_RETRY_S)
            except Exception:  # a look that broke must not be the last one
                _log.exception("The scan failed")
            self._pace.scanned(self._clock.monotonic() - began)

    async def _until_undisturbed(self) -> None:
        while self._quiet:
            until = min(self._busy_at + _QUIET_S, self._stale_since + _LONGEST_QUIET_S)
            left = until - self._clock.monotonic()
            if left <= 0:
                break
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._undisturbed.wait()


class Pace:
    """In the long run a third of the time, and none of that limit for the first two of a burst.

    A scan owes a pause of twice its length, and the time until the next one pays for it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ended = self._owed_s = self._allowed_s = 0.0

    def scanned(self, took_s: float) -> None:
        """A scan of this length has just ended."""
        now = self._clock.monotonic()
        paid_s = now - took_s - self._ended
        self._owed_s = max(0.0, self._owed_s - paid_s) + 2 * took_s
        self._allowed_s = max(_BURST_S, 2 * took_s)
        self._ended = now

    def wait_s(self) -> float:
        """How long the next scan has to wait from now on."""
        since = self._clock.monotonic() - self._ended
        return max(0.0, _DEBOUNCE_S - since, self._owed_s - self._allowed_s - since)
