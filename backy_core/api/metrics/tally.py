"""How many operations ended how, and how long they took, since the agent started."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import NamedTuple

from backy_core.operations.records import Operation

BUCKETS_S = (1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)


class Outcome(NamedTuple):
    kind: str
    outcome: str


class Durations:
    """Of the operations of one kind with one outcome."""

    def __init__(self) -> None:
        self.total_s = 0.0
        self._counts = [0] * (len(BUCKETS_S) + 1)

    def add(self, seconds: float) -> None:
        self.total_s += seconds
        self._counts[bisect_left(BUCKETS_S, seconds)] += 1

    @property
    def buckets(self) -> list[tuple[str, float]]:
        """Upper bounds as texts, with the number of operations that took no longer."""
        bounds = (*map(str, BUCKETS_S), "+Inf")
        return list(zip(bounds, accumulate(self._counts), strict=True))


class Tally:
    """Records of operations are forgotten; this keeps their number."""

    def __init__(self) -> None:
        self.by_outcome: dict[Outcome, Durations] = {}

    def add(self, op: Operation) -> None:
        """Count an operation that has ended."""
        assert op.finished_at is not None
        seconds = (op.finished_at - op.started_at).total_seconds()
        key = Outcome(str(op.kind), str(op.state))
        self.by_outcome.setdefault(key, Durations()).add(max(0.0, seconds))
