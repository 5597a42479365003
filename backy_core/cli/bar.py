"""A progress bar on a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn


class Bar:
    """Shows steps; lines that are printed stay above it. It takes only clean text."""

    def __init__(self, *, coloured: bool) -> None:
        self._console = Console(stderr=True, no_color=not coloured, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task("Starting", total=100)
        self._step = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, step: str, percent: int, done: bool) -> None:
        if step != self._step:
            if self._step:
                self.print(f"✓ {self._step}")
            self._step = step
        if done and self._step:
            self.print(f"✓ {self._step}")
        self._progress.update(self._task, completed=percent, description=escape(step[:44]))

    def print(self, line: str) -> None:
        self._progress.console.print(line, markup=False, soft_wrap=True)
