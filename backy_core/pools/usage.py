"""How full mounted pools are: statvfs off the event loop, kept for a moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from backy_core.sdk.errors import BackyError
from backy_core.system import mounts
from backy_core.system.mounts import Usage

_FRESH_S = 1.0


class UsageReader:
    """Last known values are served while a filesystem does not answer."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, Usage]] = {}

    async def read(self, paths: Iterable[str]) -> dict[str, Usage]:
        """Usage by mount path; a path that never answered is left out."""
        wanted = tuple(dict.fromkeys(paths))
        now = time.monotonic()
        stale = [path for path in wanted if self._older(path, now)]
        if stale:
            await asyncio.gather(*(self._refresh(path) for path in stale))
        return {path: self._known[path][1] for path in wanted if path in self._known}

    def forget(self, path: str) -> None:
        self._known.pop(path, None)

    def _older(self, path: str, now: float) -> bool:
        return path not in self._known or now - self._known[path][0] > _FRESH_S

    async def _refresh(self, path: str) -> None:
        try:
            usage = await mounts.filesystem_usage(path)
            known = self._known.get(path)
            if known is not None and known[1] == usage:
                usage = known[1]  # the same object: callers remember what they made of it
            self._known[path] = (time.monotonic(), usage)
        except (BackyError, OSError, TimeoutError):
            return
