"""Work that outlives the client who asked for it.

The server cancels a handler when its client goes away. Changing calls therefore run in a task
of their own; the handler merely watches it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from quart import current_app

from backy_core.sdk.errors import BackyError

log = logging.getLogger(__name__)
Result = TypeVar("Result")
EXTENSION = "backy_work"


async def carry_out(work: Coroutine[Any, Any, Result]) -> Result:
    """Run ``work`` to its end, whatever happens to the caller, and return its result."""
    running: set[asyncio.Task[Any]] = current_app.extensions[EXTENSION]
    task = asyncio.create_task(work)
    running.add(task)  # the event loop itself keeps only weak references
    task.add_done_callback(running.discard)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_report)
        raise


def _report(task: asyncio.Task[Any]) -> None:
    """The client left: nobody else will look at how this ended."""
    if task.cancelled() or (error := task.exception()) is None:
        return
    level = logging.INFO if isinstance(error, BackyError) else logging.ERROR
    log.log(level, "a call whose client had left failed: %s", error)
