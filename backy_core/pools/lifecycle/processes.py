"""Ending the processes that hold a pool, on request."""

from __future__ import annotations

from collections.abc import Collection

from backy_core.operations.kinds import OperationKind
from backy_core.sdk.advice import Hint, Verb, advise
from backy_core.sdk.errors import Conflict, InvalidRequest, NotFound, SystemFailure
from backy_core.system.machine import Processes
from backy_core.system.procs import ProcessInfo

_ACTIONS = {"unmountpool": OperationKind.UNMOUNT, "removepoolgroup": OperationKind.DELETE}


async def kill_holders(
    processes: Processes, guid: str, holders: Collection[ProcessInfo], pids: tuple[int, ...]
) -> None:
    """End those of ``pids`` that live; every one of them must be among ``holders``, seen just now.

    Raises :class:`Conflict`, with nothing signalled, if one lives and is not.
    """
    holding = {process.pid: process for process in holders}
    alive = [pid for pid in pids if processes.is_alive(pid)]
    strangers = [pid for pid in alive if pid not in holding]
    if strangers:
        raise Conflict(
            f"Process {strangers[0]} does not use this pool; no process was signalled",
            hint=advise("List them again: ", Hint(Verb.LIST_PROCESSES, guid)),
        )
    left = await processes.kill([holding[pid] for pid in alive])
    if left:
        raise SystemFailure(
            f"Process {left[0].pid} ({left[0].name}) did not end",
            details="It may wait for a drive that does not answer",
        )


def require_mount(paths: Collection[str], path: str) -> str:
    """``path`` as one of ``paths``, with or without its leading slash; else NotFound."""
    path_text = "/" + path.strip("/")
    if path_text not in paths:
        raise NotFound(f"No pool is mounted at {path_text}")
    return path_text


def follow_up(action: str | None) -> OperationKind | None:
    """Return what is done to the pool once nobody holds it; None: nothing."""
    if action is None:
        return None
    try:
        return _ACTIONS[action.lower()]
    except KeyError:
        raise InvalidRequest(
            f"Unknown action {action}", hint="Use UnmountPool or RemovePoolGroup"
        ) from None
