"""The programs of an agent that is tested: what operations run is kept, and may be made to fail."""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from backy_core.system.machine import LINUX
from backy_core.system.outcome import Outcome

Runner = Callable[..., Awaitable[Outcome]]


class TappedPrograms:
    """Real programs. Those of operations go through :attr:`runner`; those that only inspect
    do not."""

    def __init__(self, outputs: Path) -> None:
        """``outputs`` gets what operations run and print, also if the process is killed."""
        self.runner: Runner = LINUX.programs.run
        self._file = outputs.open("a", buffering=1, errors="backslashreplace")

    async def run(
        self, argv: Sequence[str], *, on_line: Callable[[str], None] | None = None, **how: Any
    ) -> Outcome:
        if on_line is None:
            return await LINUX.programs.run(argv, **how)
        tell = on_line

        def keep(line: str) -> None:
            tell(line)
            self._file.write(f"{line}\n")

        self._file.write(f"$ {shlex.join(argv)}\n")
        return await self.runner(argv, on_line=keep, **how)

    async def wait_for_exit(self, pid: int, start_time: float, timeout_s: float) -> bool:
        return await LINUX.programs.wait_for_exit(pid, start_time, timeout_s)

    async def all_ended(self) -> None:
        await LINUX.programs.all_ended()

    def installed(self, program: str) -> bool:
        return LINUX.programs.installed(program)
