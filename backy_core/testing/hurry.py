"""Shorter waits in an agent that is tested: where nobody else uses the drives, nothing comes late.

What udev brings back it brings back within a fraction of :data:`STABLE_S` in an idle guest, and a
drive that is really gone does not return because it is waited for.
"""

from __future__ import annotations

from typing import Any

from backy_core.operations import undo
from backy_core.operations.conditions import Conditions

STABLE_S = 0.3
_RETRY_S = 4.0


def hurry() -> None:
    """From now on, in this process, no outcome has to last longer than :data:`STABLE_S`."""
    undo._STABLE_S, undo._RETRY_S = STABLE_S, _RETRY_S
    wait = Conditions.wait

    async def impatient(self: Conditions, *args: Any, stable_s: float = 0, **how: Any) -> None:
        await wait(self, *args, stable_s=min(stable_s, STABLE_S), **how)

    Conditions.wait = impatient  # type: ignore[method-assign]
