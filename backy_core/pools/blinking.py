"""A drive's activity light, made to blink by reading: so that a person finds the drive."""

from __future__ import annotations

import asyncio
import secrets
from functools import partial

from backy_core.machine.inventory import Drive
from backy_core.system.clock import Clock
from backy_core.system.machine import Machine

BURSTS = 12
LIT_S = 0.4
"""For so long a burst reads, and for as long there is a pause after it."""
READ_BYTES = 64 * 1024
READS_OF_A_BURST = 40
"""At most, so that all bursts together read 30 MiB of even the fastest drive."""
_HANGS_AFTER_S = 10.0


class Blinking:
    """The drives whose lights blink at this moment, by kernel name."""

    def __init__(self, machine: Machine, clock: Clock) -> None:
        self._machine = machine
        self._clock = clock
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @staticmethod
    def lasts_s() -> float:
        return 2 * BURSTS * LIT_S

    def begin(self, drive: Drive) -> None:
        """No-op while the drive's light blinks already."""
        name = drive.device.name
        if name not in self._tasks:
            self._tasks[name] = asyncio.create_task(self._blink(drive))
            self._tasks[name].add_done_callback(lambda _: self._tasks.pop(name))

    async def _blink(self, drive: Drive) -> None:
        try:
            for _ in range(BURSTS):
                await self._burst(drive.device.path, drive.id.size)
                await self._clock.sleep(LIT_S)
        except (OSError, TimeoutError):
            return  # it is gone, or reads no more: the observer notices that by itself

    async def _burst(self, node: str, size: int) -> None:
        until = self._clock.monotonic() + LIT_S
        for _ in range(READS_OF_A_BURST):
            # far apart, so that neither the drive nor the kernel has it in a cache
            place = secrets.randbelow(max(1, size // READ_BYTES)) * READ_BYTES
            read = partial(self._machine.contents.read_at, node, place, READ_BYTES)
            await self._machine.threads.in_thread(read, f"blinking {node}", _HANGS_AFTER_S)
            if self._clock.monotonic() >= until:
                return
            await self._clock.sleep(LIT_S / READS_OF_A_BURST)
