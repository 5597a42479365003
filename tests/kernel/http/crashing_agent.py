"""The agent with a trap: it kills itself at a chosen moment of its journal, and starts again.

Run in a guest in place of the agent. The file `/run/crash-at` holds moments, one a line, used up
one after the other: `PLAN WHEN RECORD NUMBER`, for example `create after begun 2`: in an entry
whose plan is of that kind, right `after` its second `begun` record is durable, or `before` that
record is written, when what it tells of has happened. Power is not cut: what the kernel knows
stays. With `copy` at its end the agent lives on, and a copy of its state directory is in
`/run/state-copy`.

Imports take seconds in a guest, so one process imports and each agent is a fork of it. Nothing of
the agent happens at import, so such an agent is as new as one just started.
"""

import ctypes
import os
import shutil
import signal
import sys
from dataclasses import replace

from backy_core.cli.serve import serve
from backy_core.config.settings import load_settings
from backy_core.operations.journal import JournalEntry, Opened, Record
from backy_core.system.machine import LINUX
from backy_core.testing.tap import Tap

MOMENTS = "/run/crash-at"
STATE, COPY = "/var/lib/backy", "/run/state-copy"
_COPY = " copy"
_PR_SET_PDEATHSIG = 1


def agent() -> None:
    """One that looks for the moment before and after each record."""
    files = Tap()
    files.listeners.append(_crash_if_due)
    serve(load_settings({}, os.environ), os.environ, replace(LINUX, files=files))


def _crash_if_due(entry: JournalEntry, record: Record, when: str) -> None:
    opened = record if isinstance(record, Opened) else entry.opened
    number = sum(each.rec == record.rec for each in entry.records) + (when == "before")
    moment = f"{opened.plan.kind} {when} {record.rec} {number}"
    moments = _moments()
    if moments and moments[0].removesuffix(_COPY) == moment:
        with open(MOMENTS, "w") as file:
            file.writelines(f"{moment}\n" for moment in moments[1:])
        if moments[0].endswith(_COPY):
            shutil.copytree(STATE, COPY)
            return
        os.kill(os.getpid(), signal.SIGKILL)


def _moments() -> list[str]:
    try:
        with open(MOMENTS) as file:
            return file.read().splitlines()
    except FileNotFoundError:
        return []


def run() -> int:
    """One agent after another, until one ends by itself."""
    while True:
        pid = os.fork()
        if pid == 0:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            agent()
            return 0
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status != -signal.SIGKILL:
            return status


if __name__ == "__main__":
    sys.exit(run())
