"""A progress bar on a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from backy_core.client.replies import Operation


class Bar:
    """Steps with their titles; lines that are printed stay above it."""

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
        self._title = ""

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

    def show(self, operation: Operation) -> None:
        progress = operation["progress"]
        title = f"[{progress['step']}/{progress['steps']}] {progress['title']}"
        if progress["title"] and title != self._title:
            if self._title:
                self.print(f"✓ {self._title}")
            self._title = title
        if operation["state"] == "succeeded" and self._title:
            self.print(f"✓ {self._title}")
        self._progress.update(
            self._task, completed=progress["percent"], description=escape(title[:44])
        )

    def print(self, line: str) -> None:
        self._progress.console.print(line, markup=False, soft_wrap=True)
