"""How long operations wait where nothing tells them that it is over."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """All in seconds."""

    roll_back_s: float = 15.0
    """For how long a roll-back is tried again: a disk may be busy for a moment."""
    swept_s: float = 1.0
    """For how long drives must stay clean after it: udev may bring an array back."""
    stable_s: float = math.inf
    """For how long an outcome must last, at most, whatever the plan asks for."""


PATIENT = Patience()
"""The agent's own."""
