"""Live, in order, bounded; a reader who resumes sees every kept line once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from backy_core.operations.outputs import OutputLog


@given(st.lists(st.text(max_size=20), max_size=60), st.integers(1, 20), st.integers(0, 70))
def test_offsets_are_absolute(lines: list[str], bound: int, offset: int) -> None:
    log = OutputLog(bound)
    for line in lines:
        log.append(line)
    first = max(0, len(lines) - bound)
    assert log.next_offset == len(lines)
    assert log.lines == tuple(lines[first:])
    assert log.since(offset) == tuple(lines[max(offset, first) :])
    assert log.size == sum(map(len, lines[first:]))


@given(st.lists(st.lists(st.text(max_size=5), max_size=7), max_size=9))
def test_a_reader_who_resumes_sees_each_line_once(batches: list[list[str]]) -> None:
    log, seen, offset = OutputLog(1000), list[str](), 0
    for batch in batches:
        for line in batch:
            log.append(line)
        seen += log.since(offset)
        offset = log.next_offset
    assert seen == [line for batch in batches for line in batch]


def test_dropping_forgets_lines_and_counts_on() -> None:
    log = OutputLog(10)
    log.append("one")
    log.drop()
    assert (log.lines, log.size, log.next_offset) == ((), 0, 1)
    log.append("two")
    assert log.since(0) == ("two",) == log.since(1)


def test_an_endless_line_is_cut() -> None:
    log = OutputLog(10)
    log.append("x" * 1_000_000)
    assert log.size < 5000
