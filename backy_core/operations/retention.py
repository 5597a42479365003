"""A pure rule that selects the ended operations to forget.

Records go in this order: succeeded ones, failures already read, then the outputs (not the
record) of the oldest unread failure. Never a running one, and never an unread failure under
``unread_s`` old because another job ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from backy_core.operations.records import Operation, OperationState


class Limits(NamedTuple):
    """Times in seconds, outputs in characters."""

    success_s: float = 3600
    read_grace_s: float = 300
    unread_s: float = 3600
    max_records: int = 500
    max_output: int = 16 << 20


class Verdict(NamedTuple):
    forget: tuple[str, ...] = ()
    drop_outputs: tuple[str, ...] = ()


def review(operations: Sequence[Operation], now: datetime, limits: Limits) -> Verdict:
    """Select the records and outputs to forget now."""
    expired = {op.id for op in operations if _expired(op, now, limits)}
    kept = [op for op in operations if op.id not in expired]
    forget, drop = _over_bounds(kept, now, limits)
    return Verdict(tuple(expired | forget), drop)


def _age(op: Operation, since: datetime | None, now: datetime) -> float:
    return (now - (since or op.started_at)).total_seconds()


def _expired(op: Operation, now: datetime, limits: Limits) -> bool:
    if op.state is OperationState.SUCCEEDED:
        return _age(op, op.finished_at, now) >= limits.success_s
    if op.running or op.outputs_read_at is None:
        return False
    return _age(op, op.outputs_read_at, now) >= limits.read_grace_s


def _oldest_first(operations: Iterable[Operation]) -> list[Operation]:
    return sorted(operations, key=lambda op: op.finished_at or op.started_at)


def _over_bounds(
    operations: Sequence[Operation], now: datetime, limits: Limits
) -> tuple[set[str], tuple[str, ...]]:
    count, size = len(operations), sum(op.outputs.size for op in operations)
    ended = [op for op in operations if not op.running]
    expendable = [
        *_oldest_first(op for op in ended if op.state is OperationState.SUCCEEDED),
        *_oldest_first(op for op in ended if _read_failure(op)),
    ]
    forget: set[str] = set()
    for op in expendable:
        if count <= limits.max_records and size <= limits.max_output:
            break
        forget.add(op.id)
        count, size = count - 1, size - op.outputs.size
    drop: list[str] = []
    for op in _oldest_first(op for op in ended if _unread_failure(op)):
        if size <= limits.max_output or _age(op, op.finished_at, now) < limits.unread_s:
            break
        drop.append(op.id)
        size -= op.outputs.size
    return forget, tuple(drop)


def _read_failure(op: Operation) -> bool:
    return op.state is not OperationState.SUCCEEDED and op.outputs_read_at is not None


def _unread_failure(op: Operation) -> bool:
    return op.state is not OperationState.SUCCEEDED and op.outputs_read_at is None
