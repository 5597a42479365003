"""Calls that outlive the client who sent them.

The server cancels a handler when its client disconnects. A changing call therefore runs in a task
of its own, which its handler awaits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from functools import partial
from typing import Any, TypeVar

from quart import current_app

from backy_core.api.audit import Call
from backy_core.api.replies import current_request
from backy_core.sdk.errors import BackyError

log = logging.getLogger(__name__)
Result = TypeVar("Result")
EXTENSION = "backy_detached_calls"


async def carry_out(work: Coroutine[Any, Any, Result]) -> Result:
    """Run ``work`` to its end even if the caller is cancelled, and return its result."""
    running: set[asyncio.Task[Any]] = current_app.extensions[EXTENSION]
    task = asyncio.create_task(work)
    running.add(task)  # the event loop itself keeps only weak references
    task.add_done_callback(running.discard)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(partial(_report, current_request().call))
        raise


def _report(call: Call | None, task: asyncio.Task[Any]) -> None:
    """Log how the call ended: its client has disconnected."""
    error = asyncio.CancelledError() if task.cancelled() else task.exception()
    if call is not None:
        call.ended(error)
    if task.cancelled() or error is None:
        return
    level = logging.INFO if isinstance(error, BackyError) else logging.ERROR
    log.log(level, "A call whose client had disconnected failed: %s", error)
