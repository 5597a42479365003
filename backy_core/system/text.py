"""Making the output of programs fit for people, logs and JSON."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from unicodedata import category

MAX_NAME = 255
MAX_LINE = 4096
"""Longer lines are cut into pieces: a program may write without ever ending a line."""

_UNFIT = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of Unicode: control, format (which turns the direction of writing), surrogates, and
separators of lines and paragraphs."""
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_SECRET = re.compile(
    r"(?i)((?:--?)?\b(?:pass(?:word|phrase|wd)?|secret|token|api[-_]?key|x-api-key)\b"
    r"(?:\s*[=:]\s*|\s+(?=\S)))(\"[^\"]*\"|'[^']*'|\S+)"
)


def sanitise(text: str) -> str:
    """``text`` without terminal codes, control and format characters (tab and newline stay)
    and secrets.

    Back-spaces are carried out, not shown: mke2fs draws its progress with them.
    """
    text = _carry_out_backspaces(_ESCAPE.sub("", text))
    if not text.isprintable():
        text = "".join(filter(_is_fit, text))
    return _SECRET.sub(r"\1[removed]", text)


def _is_fit(character: str) -> bool:
    return character.isprintable() or character in "\t\n" or category(character) not in _UNFIT


def clean_name(text: str | None, limit: int = MAX_NAME) -> str | None:
    """Clean the name of a device or of its content for URLs, JSON and people; None if it is empty.

    A stranger may have written it. Removes NUL (firmware pads with it, and Linux 7 shows it), other
    control characters, such as those that end a line or change the direction of writing, and
    blanks at both ends; cuts it to ``limit`` characters.
    """
    return "".join(filter(str.isprintable, text or "")).strip()[:limit].rstrip() or None


def escaped(text: str) -> str:
    """``text`` on one line, with nothing in it that a terminal or a reader takes for more."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )


def _carry_out_backspaces(text: str) -> str:
    if "\b" not in text:
        return text
    kept: list[str] = []
    for character in text:
        if character != "\b":
            kept.append(character)
        elif kept and kept[-1] != "\n":
            kept.pop()
    return "".join(kept)


class LineSplitter:
    """Turns chunks of bytes into sanitised lines, as they come. Carriage returns end lines."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = ""

    def feed(self, chunk: bytes) -> None:
        text = self._pending + self._decoder.decode(chunk)
        *lines, self._pending = re.split(r"[\r\n]+", text)
        for line in lines:
            self._emit(line)
        while len(self._pending) > MAX_LINE:
            self._emit(self._pending[:MAX_LINE])
            self._pending = self._pending[MAX_LINE:]

    def close(self) -> None:
        """The last line, ended or not."""
        self._emit(self._pending + self._decoder.decode(b"", final=True))
        self._pending = ""

    def _emit(self, line: str) -> None:
        clean = sanitise(line).rstrip()
        for start in range(0, len(clean), MAX_LINE):
            self._on_line(clean[start : start + MAX_LINE])


class BoundedBytes:
    """Keeps the first and the last half of ``limit`` bytes of whatever is written to it."""

    def __init__(self, limit: int) -> None:
        self._half = max(limit // 2, 1)
        self._head = bytearray()
        self._tail = bytearray()
        self.dropped = 0

    def write(self, chunk: bytes) -> None:
        room = self._half - len(self._head)
        self._head += chunk[:room]
        self._tail += chunk[room:]
        if len(self._tail) > 2 * self._half:
            self._trim()

    def text(self) -> str:
        """Invalid UTF-8 is replaced; a gap is marked."""
        self._trim()
        gap = f"\n[{self.dropped} bytes left out]\n".encode() if self.dropped else b""
        return bytes(self._head + gap + self._tail).decode("utf-8", "replace")

    def _trim(self) -> None:
        excess = len(self._tail) - self._half
        if excess > 0:
            del self._tail[:excess]
            self.dropped += excess
