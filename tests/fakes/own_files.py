"""The agent's own files and directories: real ones, with points around what changes them."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from backy_core.sdk.errors import SystemFailure
from backy_core.system import directories
from backy_core.system.directories import Judge, Place
from backy_core.system.own_files import OwnDirectory, OwnFile
from tests.fakes.clock import at_once
from tests.fakes.interruptions import Crash, How, Interruptions
from tests.fakes.machine import FakeMachine

T = TypeVar("T")
_JOURNAL = ".jsonl"


class FakeDirectories:
    """Directories to mount on."""

    def __init__(self, machine: FakeMachine) -> None:
        self._machine = machine
        self._judge = beside_sticky(directories.others_may_change)

    def check(self, path: Path | str) -> None:
        directories.check(path, self._judge)

    def missing_directories(self, path: Path | str) -> tuple[str, ...]:
        return directories.missing_directories(path, self._judge)

    def is_empty(self, path: Path | str) -> bool:
        return directories.is_empty(path, self._judge)

    def make_directories(self, path: Path | str, mode: int = 0o755) -> tuple[str, ...]:
        self._machine.interruptions.point("before mkdir")
        silent = self._refuse(f"mkdir {path}")
        made = () if silent else directories.make_directories(path, mode, self._judge)
        self._machine.interruptions.point("after mkdir")
        return made

    def seal(self, path: Path | str) -> Place | None:
        """The flag is noted, not set: test directories must go."""
        self._machine.interruptions.point("before chattr")
        self._refuse(f"chattr +i {path}")
        place = self.place(path)
        if place is not None and place.empty:
            self._machine.sealed.add(str(path))
        self._machine.interruptions.point("after chattr")
        return self.place(path)

    def place(self, path: Path | str) -> Place | None:
        if self._machine.mounted(str(path)) is not None:
            return None
        sealed = str(path) in self._machine.sealed
        return Place("immutable" if sealed else "none", self.is_empty(path))

    def remove_directories(self, paths: Iterable[Path | str]) -> None:
        self._machine.interruptions.point("before rmdir")
        self._refuse(f"rmdir {paths}")
        free = [path for path in paths if self._machine.mounted(str(path)) is None]
        directories.remove_directories(free)
        self._machine.sealed -= {str(path) for path in free if not Path(path).exists()}
        self._machine.interruptions.point("after rmdir")

    def _refuse(self, command: str) -> bool:
        """Whether to do nothing and say nothing."""
        fault = self._machine.interruptions.fault(command)
        if fault is How.BROKEN:
            raise ValueError(command)
        if fault in (How.STATUS, How.HALF):
            raise SystemFailure(f"{command} did not work")
        return fault is How.SILENT


class FakeFiles:
    """The agent's own files, on no disk that has to be waited for."""

    def __init__(self, machine: FakeMachine) -> None:
        self._interruptions = machine.interruptions

    def directory(self, path: Path) -> OwnDirectory:
        return _Directory(path, self._interruptions)


class _Directory(OwnDirectory):
    def __init__(
        self, path: Path, interruptions: Interruptions, above: OwnDirectory | None = None
    ) -> None:
        super().__init__(path, above)
        self.interruptions = interruptions

    def directory(self, name: str) -> OwnDirectory:
        return _Directory(self.path / name, self.interruptions, self)

    def file(self, name: str) -> OwnFile:
        return _File(self, name)

    def flush(self, descriptor: int) -> None:
        pass

    def sync(self) -> None:
        """What was written before may be there after all."""
        if self.interruptions.fault(f"sync {self.path.name}") is How.STATUS:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().sync()

    async def to_the_end(self, call: Callable[[], T], name: str) -> T:
        return await at_once(call)


class _File(OwnFile):
    def __init__(self, directory: _Directory, name: str) -> None:
        super().__init__(directory, name)
        self._interruptions = directory.interruptions

    def _full(self) -> bool:
        return self._interruptions.fault(f"write {self.name}") is How.STATUS

    def write(self, data: bytes, mode: int = 0o600, *, keep_previous: bool = False) -> None:
        self._interruptions.point(f"before writing {self.name}")
        if self._full():
            raise SystemFailure(f"{self.path} could not be written")
        super().write(data, mode, keep_previous=keep_previous)
        self._interruptions.point(f"after writing {self.name}")

    def append(self, data: bytes, *, durable: bool) -> None:
        """A crash inside leaves half a record of the journal."""
        if self._full():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if not self.name.endswith(_JOURNAL):
            super().append(data, durable=durable)
            return
        record = json.loads(data)
        name = f"{record['rec']} {record.get('step', '')}".strip()
        try:
            self._interruptions.point(f"torn {name}")
        except Crash:
            if self._interruptions.reached[-1] == f"torn {name}":
                super().append(b'{"rec": "beg', durable=durable)
            raise
        super().append(data, durable=durable)
        self._interruptions.point(f"recorded {name}")

    def remove(self) -> None:
        if self.name.endswith(_JOURNAL):
            self._interruptions.point("before journal removal")
        super().remove()
        if self.name.endswith(_JOURNAL):
            self._interruptions.point("after journal removal")


def beside_sticky(judge: Judge) -> Judge:
    """Tests lie below /tmp, in which nobody removes what is root's."""

    def others_may_change(info: os.stat_result, descriptor: int) -> str | None:
        return None if info.st_mode & stat.S_ISVTX else judge(info, descriptor)

    return others_may_change
