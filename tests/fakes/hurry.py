"""No test waits for time to pass, nor for a thread that has nothing to wait for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from backy_core.operations import conditions, executor, undo


async def called_at_once(call: Callable[[], Any], name: str, deadline_s: float = 0) -> Any:
    return await at_once(call)


async def at_once(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Nothing here blocks, so no thread is needed; tasks still take turns."""
    await asyncio.sleep(0)
    return call(*args, **options)


class _Clock:
    """Time that passes by sleeping alone: half a minute of patience takes no time."""

    def __init__(self) -> None:
        self.passed = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.passed

    async def sleep(self, seconds: float) -> None:
        self.passed += seconds
        await asyncio.sleep(0.0005)


class _HurriedAsyncio:
    def __init__(self, clock: _Clock) -> None:
        self.sleep = clock.sleep

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = _Clock()
    for module in (conditions, executor, undo):
        monkeypatch.setattr(module, "time", clock)
        monkeypatch.setattr(module, "asyncio", _HurriedAsyncio(clock))
