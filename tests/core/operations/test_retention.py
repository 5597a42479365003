"""The contract's sentences about what is remembered, against any history of operations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from backy_core.operations.records import OperationState
from backy_core.operations.retention import Limits, Verdict, review

NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
LIMITS = Limits(success_s=3600, read_grace_s=300, unread_s=3600, max_records=3, max_output=1000)


def record(
    name: str,
    state: str = "failed",
    *,
    age: float = 0,
    read_ago: float | None = None,
    size: int = 0,
) -> Any:
    """As much of an operation as the rule looks at."""
    running = state == "running"
    finished = None if running else NOW - timedelta(seconds=age)
    read = None if read_ago is None or running else NOW - timedelta(seconds=read_ago)
    return SimpleNamespace(
        id=name,
        state=OperationState(state),
        running=running,
        started_at=NOW - timedelta(seconds=age + 10),
        finished_at=finished,
        outputs_read_at=read,
        outputs=SimpleNamespace(size=size),
    )


def judge(*records: Any) -> Verdict:
    return review(records, NOW, LIMITS)


records = st.lists(
    st.builds(
        record,
        st.uuids().map(str),
        st.sampled_from(["running", "succeeded", "failed", "cancelled"]),
        age=st.floats(0, 10_000),
        read_ago=st.none() | st.floats(0, 1000),
        size=st.integers(0, 1500),
    ),
    max_size=12,
)


@given(records)
def test_a_running_operation_is_never_touched(history: list[Any]) -> None:
    verdict = review(history, NOW, LIMITS)
    running = {op.id for op in history if op.running}
    assert not running & {*verdict.forget, *verdict.drop_outputs}


@given(records)
def test_an_unread_failure_is_never_forgotten_and_young_ones_keep_their_outputs(
    history: list[Any],
) -> None:
    verdict = review(history, NOW, LIMITS)
    for op in history:
        if op.state in ("failed", "cancelled") and op.outputs_read_at is None:
            assert op.id not in verdict.forget
            if (NOW - op.finished_at).total_seconds() < LIMITS.unread_s:
                assert op.id not in verdict.drop_outputs


@given(records)
def test_outputs_go_last_and_only_while_there_are_too_many(history: list[Any]) -> None:
    verdict = review(history, NOW, LIMITS)
    kept = [op for op in history if op.id not in verdict.forget]
    if verdict.drop_outputs:
        assert not any(op.state == "succeeded" or op.outputs_read_at for op in kept)
        first_dropped = next(op for op in kept if op.id == verdict.drop_outputs[-1])
        left = [op for op in kept if op.id not in verdict.drop_outputs[:-1]]
        assert sum(op.outputs.size for op in left) > LIMITS.max_output
        assert first_dropped.state in ("failed", "cancelled")


@given(records)
def test_what_is_within_its_time_and_the_bounds_stays(history: list[Any]) -> None:
    roomy = Limits(max_records=10_000, max_output=1 << 40)
    verdict = review(history, NOW, roomy)
    assert not verdict.drop_outputs
    for op in history:
        if op.id in verdict.forget:
            ended = op.finished_at if op.state == "succeeded" else op.outputs_read_at
            limit = roomy.success_s if op.state == "succeeded" else roomy.read_grace_s
            assert (NOW - ended).total_seconds() >= limit


def test_success_is_kept_an_hour() -> None:
    old, young = record("old", "succeeded", age=3600), record("young", "succeeded", age=3599)
    assert judge(old, young).forget == ("old",)


def test_a_failure_is_kept_until_it_was_read_and_its_grace_is_over() -> None:
    unread = record("unread", age=1_000_000)
    reading = record("reading", age=1_000_000, read_ago=299)
    read = record("read", age=1_000_000, read_ago=300)
    assert judge(unread, reading, read).forget == ("read",)


def test_too_many_records_go_successes_first_the_oldest_first() -> None:
    history = [
        record("read", age=3000, read_ago=10),
        record("new", "succeeded", age=10),
        record("old", "succeeded", age=2000),
        record("unread", age=3000),
    ]
    assert judge(*history).forget == ("old",)
    assert set(judge(*history, record("more")).forget) == {"old", "new"}
    assert set(judge(*history, record("more"), record("again")).forget) == {"old", "new", "read"}


def test_too_much_output_goes_from_the_oldest_unread_failure_and_its_record_stays() -> None:
    history = [record("older", age=9000, size=600), record("old", age=5000, size=600)]
    assert judge(*history) == Verdict((), ("older",))


def test_a_young_unread_failure_is_not_sacrificed_to_another_job() -> None:
    history = [record("young", age=3599, size=5000), record("new", age=0, size=5000)]
    assert judge(*history) == Verdict((), ())


def test_a_grace_of_nothing_forgets_at_once() -> None:
    limits = Limits(read_grace_s=0)
    assert review([record("read", read_ago=0)], NOW, limits).forget == ("read",)
