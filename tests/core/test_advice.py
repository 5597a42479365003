"""Texts with requests in them, where no edge words them."""

from __future__ import annotations

import pytest

from backy_core.operations.kinds import OperationKind
from backy_core.operations.records import Operation
from backy_core.sdk.advice import Hint, Verb, advise, join, plain
from backy_core.sdk.errors import Conflict
from backy_core.system.clock import SystemClock

CLOSE = Hint(Verb.CLOSE, "3fa8")


def test_a_log_shows_verb_and_subject() -> None:
    text = advise("Unmount it: ", CLOSE)
    assert str(text) == "Unmount it: close 3fa8"
    assert text.parts == ("Unmount it: ", CLOSE)
    assert plain(text) == str(text) and plain("Wait") == "Wait" and plain(None) is None


def test_options_are_shown_by_name() -> None:
    hint = Hint(Verb.TEARDOWN, "3fa8", (("wipe", True), ("destroy_others", "a")))
    assert str(hint) == "teardown 3fa8 wipe=True destroy_others=a"


def test_texts_are_joined() -> None:
    assert join(["Plug it in", advise("or ", CLOSE)], "; ") == advise(
        "Plug it in", "; ", "or ", CLOSE
    )


@pytest.mark.asyncio
async def test_listeners_are_told_in_plain_words() -> None:
    operation = Operation(OperationKind.DELETE, "3fa8", "", SystemClock())
    operation.message = advise("Then ", CLOSE)
    operation.finish(Conflict("It is mounted", hint=advise("First ", CLOSE)))
    record = operation.record()
    assert (record.hint, record.note) == ("First close 3fa8", "Then close 3fa8")
