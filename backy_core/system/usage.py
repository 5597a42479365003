"""How full a filesystem is."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import suppress
from dataclasses import dataclass

from backy_core.sdk.errors import SystemFailure

_DEADLINE_S = 3.0
_AT_ONCE = 4
"""Several callers may ask at the same moment; more than a few only ever wait for a dead disk."""


@dataclass(frozen=True)
class Usage:
    """Bytes as ``df`` counts them; ``available`` is what an ordinary user may still write."""

    size: int
    used: int
    available: int

    @property
    def use_percent(self) -> int:
        """What ``df`` prints: used / (used + available), rounded up."""
        total = self.used + self.available
        return -(-100 * self.used // total) if total > 0 else 0


async def filesystem_usage(path: str, deadline_s: float = _DEADLINE_S) -> Usage:
    """How full the filesystem at ``path`` is. Raises :class:`SystemFailure`.

    statvfs(3) hangs for as long as the disk does, so it has a thread of its own, which may be
    left behind; while several hang for this path no other is started.
    """
    try:
        async with asyncio.timeout(deadline_s):
            found = await _statvfs(path)
    except TimeoutError as error:
        raise SystemFailure(f"The filesystem at {path} does not answer") from error
    except (OSError, ValueError) as error:
        message = f"The filesystem at {path} cannot be read"
        raise SystemFailure(message, details=str(error)) from error
    block = found.f_frsize
    return Usage(
        size=found.f_blocks * block,
        used=(found.f_blocks - found.f_bfree) * block,
        available=found.f_bavail * block,
    )


async def _statvfs(path: str) -> os.statvfs_result:
    name = f"statvfs {path}"
    if sum(thread.name == name for thread in threading.enumerate()) >= _AT_ONCE:
        raise TimeoutError
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[os.statvfs_result] = loop.create_future()

    def ask() -> None:
        try:
            result = os.statvfs(path)
        except (OSError, ValueError) as error:
            _deliver(loop, answer, error)
        else:
            _deliver(loop, answer, result)

    threading.Thread(target=ask, name=name, daemon=True).start()
    return await answer


def _deliver(
    loop: asyncio.AbstractEventLoop,
    answer: asyncio.Future[os.statvfs_result],
    result: os.statvfs_result | Exception,
) -> None:
    def settle() -> None:
        if answer.done():
            return
        if isinstance(result, Exception):
            answer.set_exception(result)
        else:
            answer.set_result(result)

    with suppress(RuntimeError):
        loop.call_soon_threadsafe(settle)
