"""How full a filesystem is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from backy_core.sdk.errors import SystemFailure
from backy_core.system.threads import in_thread

_DEADLINE_S = 3.0


class Usage(NamedTuple):
    """Bytes as ``df`` counts them; ``available`` is what an ordinary user may still write."""

    size: int
    used: int
    available: int

    @property
    def use_percent(self) -> int:
        """The percentage that ``df`` prints: used / (used + available), rounded up."""
        total = self.used + self.available
        return -(-100 * self.used // total) if total > 0 else 0


async def filesystem_usage(path: str, deadline_s: float = _DEADLINE_S) -> Usage:
    """How full the filesystem at ``path`` is. Raises :class:`SystemFailure`.

    statvfs(3) hangs for as long as the disk does, so it has a thread of its own.
    """
    try:
        statistics = await in_thread(lambda: os.statvfs(path), f"statvfs {path}", deadline_s)
    except TimeoutError as error:
        raise SystemFailure(f"The filesystem at {path} does not answer") from error
    except (OSError, ValueError) as error:
        message = f"The filesystem at {path} cannot be read"
        raise SystemFailure(message, details=str(error)) from error
    return _usage(statistics)


async def filesystem_usages(
    paths: Sequence[str], deadline_s: float = _DEADLINE_S
) -> dict[str, Usage]:
    """Of those that answer, asked one after the other in a single thread.

    One that hangs leaves out those after it as well: ask for them one by one then.
    """
    by_path: dict[str, os.statvfs_result] = {}

    def ask() -> None:
        for path in paths:
            with suppress(OSError, ValueError):
                by_path[path] = os.statvfs(path)

    with suppress(TimeoutError):
        await in_thread(ask, "statvfs", deadline_s)
    return {path: _usage(answer) for path, answer in tuple(by_path.items())}


def _usage(statistics: os.statvfs_result) -> Usage:
    block = statistics.f_frsize
    return Usage(
        size=statistics.f_blocks * block,
        used=(statistics.f_blocks - statistics.f_bfree) * block,
        available=statistics.f_bavail * block,
    )
