"""How long the event loop was held up."""

from __future__ import annotations

import asyncio
import gc
import time
from types import TracebackType
from typing import Self

_TICK_S = 0.002


class LoopWatch:
    """Measures the longest time between two turns of the running loop, less its own pause."""

    def __init__(self) -> None:
        self.longest_s = 0.0

    def __enter__(self) -> Self:
        gc.collect()
        gc.freeze()  # as the agent does: what a test process holds is not looked through
        self._task = asyncio.create_task(self._watch())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._task.cancel()
        gc.unfreeze()

    async def _watch(self) -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(_TICK_S)
            self.longest_s = max(self.longest_s, time.thread_time() - before)
