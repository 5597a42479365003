"""Processes that have a drive's own node open for writing.

The kernel does not count them: an exclusive open succeeds beside them (a virtual machine that was
given the drive, ``dd``, a disk editor).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from backy_core.system.absence import LookFailed, suppress_gone
from backy_core.system.namespaces import pids
from backy_core.system.process_holders import descriptors_of, suppress_unanswered
from backy_core.system.sysfs import read_attribute, read_whole
from backy_core.system.text import sanitise
from backy_core.system.threads import in_thread

_DEADLINE_S = 20.0


class RawWriter(NamedTuple):
    """A process and the node it may write to."""

    pid: int
    name: str
    node: str

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid}, {self.node})"


async def raw_writers(majmins: Collection[str]) -> tuple[RawWriter, ...]:
    """The processes that may write to these devices (``8:16``), each once; never this one.

    Raises :class:`LookFailed` if the processes cannot be looked at, or do not answer in time.
    """
    numbers = {os.makedev(*map(int, majmin.split(":"))) for majmin in majmins}
    try:
        return await in_thread(lambda: tuple(_search(numbers)), "raw writers", _DEADLINE_S)
    except TimeoutError as error:
        raise LookFailed(
            "The open files of all processes cannot be read",
            details=f"They do not answer within {_DEADLINE_S:g} s",
        ) from error


def _search(numbers: Collection[int]) -> Iterator[RawWriter]:
    for pid in pids():
        if pid == os.getpid():
            continue
        node = next(_written(f"/proc/{pid}", numbers), None)
        if node is not None:
            name = (read_attribute(Path(f"/proc/{pid}/comm")) or "").strip()
            yield RawWriter(pid, sanitise(name), sanitise(node))


def _written(directory: str, numbers: Collection[int]) -> Iterator[str]:
    for link in descriptors_of(directory):
        with suppress_unanswered(link):
            status = os.stat(link)  # noqa: PTH116
            if not stat.S_ISBLK(status.st_mode) or status.st_rdev not in numbers:
                continue
            if _writable(directory, link.rpartition("/")[2]):
                with suppress_gone(link):
                    yield os.readlink(link)  # noqa: PTH115


def _writable(directory: str, descriptor: str) -> bool:
    """By ``flags`` (octal) of fdinfo; a descriptor that is gone by now writes no more."""
    lines = (read_whole(Path(f"{directory}/fdinfo/{descriptor}")) or "").splitlines()
    flags = next((line.split()[1] for line in lines if line.startswith("flags:")), "0")
    return int(flags, 8) & os.O_ACCMODE != os.O_RDONLY
