"""The format of log lines; no message can forge another."""

from __future__ import annotations

import io
import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backy_core.logs import LogFormat, Repeated, configure_logging


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def logged(log_format: LogFormat, level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    configure_logging(level, log_format, stream)
    return stream


def test_text_is_one_line_with_a_time() -> None:
    stream = logged("text")
    logging.getLogger("backy_core.x").warning("Pool %s is busy", "shelf")
    line = stream.getvalue()
    assert line.endswith("Z WARNING backy_core.x: Pool shelf is busy\n")
    assert line[:4].isdigit()


@given(words=st.text(), log_format=st.sampled_from(["text", "json"]))
@example(words="a\u2028b\x85c\u202ed\x1b[2Je\x7f\ud800", log_format="json")
@example(words="a\u2028b\x85c\u202ed\x1b[2Je\x7f\ud800", log_format="text")
def test_one_message_is_one_line_whatever_it_holds(words: str, log_format: LogFormat) -> None:
    stream = logged(log_format)
    try:
        raise ValueError(words)
    except ValueError:
        logging.getLogger("x").exception("Pool %s", words, extra={"pool": words})
    text = stream.getvalue()
    (line,) = text.splitlines()
    assert text == line + "\n" and line.isprintable()
    line.encode()
    if log_format == "json":
        entry = json.loads(line)
        assert entry["message"] == f"Pool {words}" and entry["pool"] == words


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_line_break_in_a_label_makes_no_second_line(log_format: LogFormat) -> None:
    stream = logged(log_format)
    logging.getLogger("x").info("Pool %s", "a\r\n2026-01-01 ERROR x: forged")
    assert stream.getvalue().count("\n") == 1
    assert "\r" not in stream.getvalue()


def test_less_serious_messages_are_left_out() -> None:
    stream = logged("text", "warning")
    logging.getLogger("x").info("quiet")
    assert stream.getvalue() == ""


def test_json_carries_extra_fields_and_the_exception() -> None:
    stream = logged("json")
    try:
        raise ValueError("no")
    except ValueError:
        logging.getLogger("x").exception("It failed", extra={"pool": "shelf"})
    entry = json.loads(stream.getvalue())
    assert entry["message"] == "It failed"
    assert entry["level"] == "error"
    assert entry["logger"] == "x"
    assert entry["pool"] == "shelf"
    assert "ValueError: no" in entry["exception"]
    assert entry["time"].endswith("+00:00")


def test_the_journal_gets_a_priority() -> None:
    with tempfile.TemporaryFile("w+") as stream:
        stat = os.fstat(stream.fileno())
        env = {"JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"}
        configure_logging("info", "text", stream, env)
        try:
            raise ValueError("no")
        except ValueError:
            logging.getLogger("x").exception("It failed")
        stream.seek(0)
        lines = stream.read().splitlines()
    (line,) = lines
    assert line.startswith("<3>x: It failed\\nTraceback") and line.endswith("ValueError: no")


def test_a_stream_that_is_not_the_journals_gets_times() -> None:
    with tempfile.TemporaryFile("w+") as stream:
        configure_logging("info", "text", stream, {"JOURNAL_STREAM": "1:2"})
        logging.getLogger("x").info("hello")
        stream.seek(0)
        assert not stream.read().startswith("<")


def test_configuring_twice_logs_once() -> None:
    logged("text")
    stream = logged("text")
    logging.getLogger("x").info("once")
    assert stream.getvalue().count("once") == 1


def test_what_is_repeated_is_logged_once_with_its_number(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("backy_core.test")
    warn = Repeated(log, logging.WARNING, every_s=0.2)
    for number in range(1000):
        warn("Client %s was refused", number)
    time.sleep(0.25)
    warn("Client %s was refused", "last")
    assert [record.getMessage() for record in caplog.records] == [
        "Client 0 was refused",
        "Client last was refused (and 999 times more before)",
    ]
