"""Cleaning and bounding the output of programs."""

from __future__ import annotations

import re
from unicodedata import category

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backy_core.system.text import (
    MAX_LINE,
    MAX_NAME,
    BoundedBytes,
    LineSplitter,
    clean_name,
    escaped,
    sanitise,
)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("plain\ttext", "plain\ttext"),
        ("\x1b[31mred\x1b[0m \x1b]0;title\x07end", "red end"),
        ("Writing inode tables:  0/16\b\b\b\b\b 1/16\b\b\b\b\bdone", "Writing inode tables: done"),
        ("a\b\b\bz", "z"),
        ("nul\x00 bell\x07 \x9b", "nul bell "),
        ("--password=hunter2 x", "--password=[removed] x"),
        ("X-Api-Key: abc.def", "X-Api-Key: [removed]"),
        ("passphrase 'two words' kept", "passphrase [removed] kept"),
        ("compass north", "compass north"),
    ],
)
def test_sanitise(raw: str, clean: str) -> None:
    assert sanitise(raw) == clean


@given(st.text())
def test_nothing_dangerous_survives(text: str) -> None:
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", sanitise(text))


@given(st.text())
@example("\u202e\u2066\u200b\ufeff\u2028\u2029\x85\ud800")
def test_nothing_that_misleads_survives(text: str) -> None:
    kept = {category(it) for it in sanitise(text) if it not in "\t\n"}
    assert not kept & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(st.text(max_size=600))
@example("a\x00\u202eb\u2028c\ud800\ue000\u200d")
@example(" " * 300 + "x" * 300)
def test_a_name_is_data(text: str) -> None:
    name = clean_name(text)
    if name is None:
        assert not any(it.isprintable() and it != " " for it in text)
        return
    assert 0 < len(name) <= MAX_NAME and name == name.strip()
    assert not {category(it) for it in name} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    assert clean_name(name) == name


@given(st.text())
def test_escaped_text_is_one_printable_line(text: str) -> None:
    assert escaped(text).isprintable()


def split(pieces: list[bytes]) -> list[str]:
    lines: list[str] = []
    splitter = LineSplitter(lines.append)
    for piece in pieces:
        splitter.feed(piece)
    splitter.close()
    return [line for line in lines if line]


@given(st.lists(st.binary(max_size=40), max_size=12))
def test_lines_do_not_depend_on_how_output_is_cut(chunks: list[bytes]) -> None:
    whole, cut = split([b"".join(chunks)]), split(chunks)
    assert cut == whole


def test_long_lines_are_cut() -> None:
    lines: list[str] = []
    splitter = LineSplitter(lines.append)
    splitter.feed(b"x" * (3 * MAX_LINE) + b"\ny")
    splitter.close()
    assert "".join(lines) == "x" * (3 * MAX_LINE) + "y"
    assert max(map(len, lines)) <= MAX_LINE


@given(st.lists(st.binary(max_size=60), max_size=40), st.integers(2, 200))
def test_bounded_bytes_keep_both_ends(chunks: list[bytes], limit: int) -> None:
    bounded = BoundedBytes(limit)
    for chunk in chunks:
        bounded.write(chunk)
    data, half = b"".join(chunks), limit // 2
    text = bounded.text()
    if len(data) <= 2 * half:
        assert (text, bounded.dropped) == (data.decode("utf-8", "replace"), 0)
    else:
        assert bounded.dropped == len(data) - 2 * half
        gap = f"\n[{bounded.dropped} bytes left out]\n".encode()
        assert text == (data[:half] + gap + data[-half:]).decode("utf-8", "replace")
