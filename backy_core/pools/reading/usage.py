"""How full mounted pools are: statvfs off the event loop, kept for a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from backy_core.sdk.errors import BackyError
from backy_core.system.clock import Clock
from backy_core.system.machine import Mounts
from backy_core.system.mounts import Usage

_FRESH_S = 1.0


class UsageReader:
    """Last known values are served while a filesystem does not answer."""

    def __init__(self, mounts: Mounts, clock: Clock) -> None:
        self._mounts = mounts
        self._clock = clock
        self._known: dict[str, tuple[float, Usage]] = {}
        self._asked: dict[str, asyncio.Task[None]] = {}
        """Who asks comes along with a question that is under way."""
        self._silent: set[str] = set()
        """Did not answer last time: not asked together with others."""

    async def read(self, paths: Iterable[str], within_s: float | None = None) -> dict[str, Usage]:
        """Usage by mount path, the last known one after ``within_s``; a path that never answered
        is left out."""
        unique_paths = tuple(dict.fromkeys(paths))
        now = self._clock.monotonic()
        stale = [path for path in unique_paths if self._older(path, now)]
        if stale:
            self._ask([path for path in stale if path not in self._asked])
            await asyncio.wait({self._asked[path] for path in stale}, timeout=within_s)
        return {path: self._known[path][1] for path in unique_paths if path in self._known}

    def fresh_until(self, paths: Iterable[str]) -> float:
        """When the first answer about ``paths`` is too old, by the monotonic clock: at once if
        one never came."""
        return (
            min(
                (self._known[path][0] if path in self._known else -_FRESH_S for path in paths),
                default=float("inf"),
            )
            + _FRESH_S
        )

    def _older(self, path: str, now: float) -> bool:
        return path not in self._known or now - self._known[path][0] > _FRESH_S

    def _ask(self, paths: Sequence[str]) -> None:
        """A thread for each question costs more than all the answers, so few are made."""
        together = [path for path in paths if path not in self._silent]
        groups = [together, *([path] for path in paths if path in self._silent)]
        for group in filter(None, groups):
            task = asyncio.create_task(self._refresh(group))
            self._asked.update(dict.fromkeys(group, task))

    async def _refresh(self, paths: Sequence[str]) -> None:
        try:
            answers = await self._answers(paths)
        finally:
            for path in paths:
                del self._asked[path]
        now = self._clock.monotonic()
        self._silent.difference_update(answers)
        self._silent.update(path for path in paths if path not in answers)
        for path, usage in answers.items():
            cached = self._known.get(path)
            # the same object while nothing changed: callers remember what they made of it
            same = cached is not None and cached[1] == usage
            self._known[path] = (now, cached[1] if cached is not None and same else usage)

    async def _answers(self, paths: Sequence[str]) -> dict[str, Usage]:
        if len(paths) > 1:
            return await self._mounts.filesystem_usages(paths)
        try:
            return {path: await self._mounts.filesystem_usage(path) for path in paths}
        except (BackyError, OSError, TimeoutError):
            return {}
