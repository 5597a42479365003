"""Pairs of measurements and the table they make."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

Unit = Literal["ms", "requests/s", "MiB", "KiB", "times"]


@dataclass(frozen=True)
class Goal:
    """The goal for the ratio of the agent's figure to the reference's."""

    at_most: float | None = None
    at_least: float | None = None

    def met(self, ratio: float) -> bool:
        if self.at_most is not None and ratio > self.at_most:
            return False
        return self.at_least is None or ratio >= self.at_least

    def __str__(self) -> str:
        if self.at_most is not None:
            return f"≤ {self.at_most:g}"
        return f"≥ {self.at_least:g}" if self.at_least is not None else "–"


@dataclass(frozen=True)
class Comparison:
    """The same thing measured on both sides, as often on the one as on the other."""

    what: str
    reference: str
    unit: Unit
    ours: Sequence[float]
    theirs: Sequence[float]
    goal: Goal = Goal()

    @property
    def ratio(self) -> float:
        return median(self.ours) / median(self.theirs)

    @property
    def met(self) -> bool:
        return self.goal.met(self.ratio)

    def missed(self) -> str:
        return f"{self.ratio:.2f} instead of {self.goal}"

    def row(self) -> tuple[str, ...]:
        verdict = ("yes" if self.met else "NO") if self.goal != Goal() else ""
        return (
            self.what,
            self.reference,
            f"{len(self.ours)}",
            _figure(self.ours, self.unit),
            _figure(self.theirs, self.unit),
            f"{self.ratio:.2f}",
            str(self.goal),
            verdict,
        )


@dataclass(frozen=True)
class Amount:
    """A figure with a limit of its own and nothing to compare it with.

    ``worst``: the limit of the largest one, where there is one.
    """

    what: str
    unit: Unit
    ours: Sequence[float]
    at_most: float
    worst: float = math.inf

    @property
    def goal(self) -> str:
        worst = "" if self.worst == math.inf else f", worst ≤ {self.worst:g} {self.unit}"
        return f"≤ {self.at_most:g} {self.unit}{worst}"

    @property
    def met(self) -> bool:
        return median(self.ours) <= self.at_most and max(self.ours) <= self.worst

    def missed(self) -> str:
        return f"{_figure(self.ours, self.unit)} instead of {self.goal}"

    def row(self) -> tuple[str, ...]:
        figure, verdict = _figure(self.ours, self.unit), "yes" if self.met else "NO"
        return (self.what, "–", f"{len(self.ours)}", figure, "–", "–", self.goal, verdict)


Row = Comparison | Amount

HEAD = ("What", "Against", "n", "Backy", "Reference", "Ratio", "Goal", "Met")


def table(comparisons: Iterable[Row]) -> str:
    """A Markdown table that also reads well on a terminal."""
    rows = [HEAD, *(each.row() for each in comparisons)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = [_line(row, widths) for row in rows]
    lines.insert(1, _line(["-" * width for width in widths], widths))
    return "\n".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return f"| {' | '.join(padded)} |"


def _figure(values: Sequence[float], unit: Unit) -> str:
    middle, least, most = median(values), min(values), max(values)
    return f"{_round(middle)} {unit} ({_round(least)}–{_round(most)})"


def _round(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"
