"""Who holds a pool's mount, and ending them on request."""

from __future__ import annotations

from backy_core.sdk.errors import Conflict, NotFound, SystemFailure
from backy_core.system import mounts, procs
from backy_core.system.procs import ProcessInfo


async def processes_on(path: str) -> tuple[ProcessInfo, ...]:
    """The processes that hold the filesystem mounted at ``path``, one entry each."""
    entry = mounts.mount_at(mounts.read_mounts(), path)
    if entry is None:
        return ()
    return await procs.holders_of(path, entry.majmin)


async def kill_holders(paths: tuple[str, ...], pids: tuple[int, ...]) -> None:
    """End those of ``pids`` that live; every one of them must hold one of ``paths`` now.

    Raises :class:`Conflict`, with nothing signalled, if one lives and does not.
    """
    holders = {p.pid: p for path in paths for p in await processes_on(path)}
    alive = [pid for pid in pids if procs.is_alive(pid)]
    strangers = [pid for pid in alive if pid not in holders]
    if strangers:
        raise Conflict(
            f"Process {strangers[0]} does not use this pool; no process was signalled",
            hint="List them again: GET /api/v1/pools/{guid}/processes",
        )
    left = await procs.kill([holders[pid] for pid in alive])
    if left:
        raise SystemFailure(
            f"Process {left[0].pid} ({left[0].name}) does not end",
            details="It may wait for a drive that does not answer",
        )


def require_mount(paths: tuple[str, ...], path: str) -> str:
    """``path`` as one of ``paths``, with or without its leading slash; else NotFound."""
    wanted = "/" + path.strip("/")
    if wanted not in paths:
        raise NotFound(f"No pool is mounted at {wanted}")
    return wanted
