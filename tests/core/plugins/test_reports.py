"""Names that a stranger wrote on a drive are cleaned where they enter."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from backy_core.plugins.reports import cleaned
from backy_core.sdk.models import MemberReport, PoolReport, Unreadable
from backy_core.system.text import MAX_LINE

_NASTY = "a\x00\u202eb\u2028c\n\x1b[31m\ud800\ue000"


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inside = value.values() if isinstance(value, dict) else value
    return [text for each in inside for text in _texts(each)] if _is_many(value) else []


def _is_many(value: Any) -> bool:
    return isinstance(value, dict | list | tuple)


@given(st.text(max_size=5000))
@example(_NASTY)
def test_of_a_report_every_word_is_one_bounded_printable_line(text: str) -> None:
    report = PoolReport(
        native_id=text,
        guid=None,
        name=text,
        level=text,
        presence="active",
        health="active",
        device=text,
        source=text,
        expected_members=1,
        members=(MemberReport(device=text, handle=text, state="active", doubt=text, behind=text),),
        detail=text,
        others=(text, "fine"),
        needs_force=text,
        release=text,
    )
    for each in (report, Unreadable(device=text, reason=text)):
        clean = cleaned(each)
        assert all(it.isprintable() and it for it in _texts(clean.model_dump()))
        assert max(map(len, _texts(clean.model_dump()))) <= MAX_LINE
        assert cleaned(clean) is clean
