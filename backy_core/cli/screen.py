"""Text on a terminal: clean, coloured where that helps, and as wide as the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence

_GREEN, _YELLOW, _RED, _DIM, _BOLD = "32", "33", "31", "2", "1"
_COLOURS = {
    **dict.fromkeys(("ready", "active", "available", "free", "succeeded", "yes"), _GREEN),
    **dict.fromkeys(
        (
            *("creating", "running", "resync", "recovering", "rebuilding", "check", "reshape"),
            *("degraded", "spare", "stale", "busy"),
        ),
        _YELLOW,
    ),
    **dict.fromkeys(
        ("error", "failed", "missing", "disconnected", "diverged", "inactive", "cancelled"), _RED
    ),
    **dict.fromkeys(("unmounted", "deleted", "none", "-"), _DIM),
}
SHOWN = 8
"""Characters of an identifier that are shown, and enough to name it."""
_LEAST = 8
"""Characters that a column keeps when the terminal is narrow."""
_GAP = "  "


class Screen:
    """Standard output, as far as it is known."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.is_terminal = sys.stdout.isatty()
        self._coloured = (
            self.is_terminal and not env.get("NO_COLOR") and env.get("TERM", "dumb") != "dumb"
        )
        self.width = _width(env, self.is_terminal)

    def clean(self, text: str) -> str:
        """``text`` on one line: what comes from a drive may be made to command a terminal."""
        if text.isprintable():
            return text
        from backy_core.system.text import escaped

        return escaped(text)

    def prose(self, text: str, indent: str = "") -> str:
        """Clean ``text`` in lines that fit, those after the first one indented."""
        text = self.clean(text)
        if self.width is None or wide(text) <= self.width:
            return text
        from textwrap import fill

        return fill(
            text,
            self.width,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )

    def paint(self, text: str, colour: str | None = None) -> str:
        """A word in the colour of its meaning."""
        colour = colour or _COLOURS.get(text.strip())
        return f"\x1b[{colour}m{text}\x1b[0m" if self._coloured and colour else text

    def bold(self, text: str) -> str:
        return self.paint(text, _BOLD)

    def dim(self, text: str) -> str:
        return self.paint(text, _DIM)

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[str]], flexible: int = -1) -> str:
        """Rows under their heads. Where they are too wide, column ``flexible`` gives way first."""
        cleaned = [[self.clean(cell) for cell in row] for row in rows]
        widths = [max(wide(row[at]) for row in [list(heads), *cleaned]) for at in range(len(heads))]
        self._narrow(widths, flexible % len(heads))
        lines = [self.dim(_joined([_fit(head, w) for head, w in zip(heads, widths, strict=True)]))]
        for row in cleaned:
            cells = [_fit(cell, w) for cell, w in zip(row, widths, strict=True)]
            lines.append(
                _joined([*(self.paint(cell) for cell in cells[:-1]), self.paint(cells[-1])])
            )
        return "\n".join(lines)

    def _narrow(self, widths: list[int], flexible: int) -> None:
        if self.width is None:
            return
        while (over := sum(widths) + len(_GAP) * (len(widths) - 1) - self.width) > 0:
            if widths[flexible] > _LEAST:
                at = flexible
            else:
                at = max(range(len(widths)), key=lambda number: widths[number])
            if widths[at] <= _LEAST:
                return
            widths[at] = max(_LEAST, widths[at] - over)

    def facts(self, pairs: Iterable[tuple[str, str]]) -> str:
        """Names and values, one a line, without those that are empty."""
        given = [(name, self.clean(value)) for name, value in pairs if value]
        longest = max((len(name) for name, _ in given), default=0)
        return "\n".join(
            f"{self.dim(name.ljust(longest))}  {self.paint(value)}" for name, value in given
        )


def short(identifier: str) -> str:
    """As much of an identifier as names it."""
    return identifier[:SHOWN]


def wide(text: str) -> int:
    """Columns that ``text`` takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(
        0 if combining(character) else 1 + (east_asian_width(character) in "WF")
        for character in text
    )


def _fit(text: str, width: int) -> str:
    if wide(text) > width:
        while text and wide(text) > width - 1:
            text = text[:-1]
        text += "…"
    return text + " " * (width - wide(text))


def _joined(cells: Sequence[str]) -> str:
    return _GAP.join(cells).rstrip()


def _width(env: Mapping[str, str], is_terminal: bool) -> int | None:
    """Columns; None where nobody looks."""
    if env.get("COLUMNS", "").isdecimal():
        return max(20, int(env["COLUMNS"]))
    if not is_terminal:
        return None
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    except OSError:
        return 80


def size(number: int | None) -> str:
    """Bytes as drives are labelled: 1 TB is 10¹²."""
    if not number:
        return "-"
    value, unit = float(number), 0
    while value >= 999.5 and unit < 6:
        value, unit = value / 1000, unit + 1
    digits = 0 if unit == 0 or value >= 99.95 else 1
    return f"{value:.{digits}f} {['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB'][unit]}"
