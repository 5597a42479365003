"""Watch an operation to its end: its steps, a bar, and what its commands print."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from backy_core.cli.consent import ask
from backy_core.cli.exits import Exit
from backy_core.cli.screen import short
from backy_core.cli.session import Session
from backy_core.cli.stop import Stop
from backy_core.cli.wording import in_commands
from backy_core.client import calls
from backy_core.client.errors import ApiError

if TYPE_CHECKING:
    from backy_core.client.replies import Operation

_PAUSE_S = 0.2
_BUSY = "target is busy"
"""The words that tell a client, by the contract."""


def follow(session: Session, identifier: str, guid: str) -> Operation:
    """Wait for its end. Raises :class:`Stop` for any end but success."""
    operation = _watched(session, identifier, guid)
    if operation["state"] != "succeeded":
        message = in_commands(operation["errorMessage"] or f"It was {operation['state']}")
        if _BUSY in message:
            command = f"backy pools processes {short(guid)}"
            advice = (f"See what uses it: {command}", f"End that: {command} --kill")
            raise Stop(message, *advice, status=Exit.BUSY)
        if operation["kind"] == "repair":
            raise Stop(message, "What is wrong now: backy doctor", status=Exit.FAILURE)
        what = f"What was run: backy pools outputs {short(guid)}"
        raise Stop(message, what, status=Exit.FAILURE)
    return operation


def _watched(session: Session, identifier: str, guid: str) -> Operation:
    while True:
        try:
            with _shown(session) as display:
                return _until_the_end(session, identifier, guid, display)
        except KeyboardInterrupt:
            _leave_or_cancel(session, identifier, guid)


def _until_the_end(session: Session, identifier: str, guid: str, display: Display) -> Operation:
    offset = 0
    while True:
        operation = session.send(calls.show_operation(identifier))
        if session.flag("verbose"):
            offset = _outputs(session, guid, offset, display)
        progress = operation["progress"]
        title = session.screen.clean(progress["title"])
        if title:
            step = f"[{progress['step']}/{progress['steps']}] {title}"
            display.show(step, progress["percent"], operation["state"] == "succeeded")
        if operation["state"] != "running":
            return operation
        time.sleep(_PAUSE_S)


def _outputs(session: Session, guid: str, offset: int, display: Display) -> int:
    try:
        reply = session.send(calls.pool_outputs(guid, offset))
    except ApiError:  # nothing yet, or nothing any more
        return offset
    for line in reply["outputs"]:
        display.print(session.screen.clean(line))
    return reply.get("nextOffset", offset)


def _leave_or_cancel(session: Session, identifier: str, guid: str) -> None:
    """Ctrl-C ends the watching, not the work, unless one says so."""
    print(file=sys.stderr)
    if sys.stdin.isatty():
        answer = ask(session, "Leave it running, cancel it and roll back, or watch on? [L/c/w] ")
        if answer.lower().startswith("w"):
            return
        if answer.lower().startswith("c"):
            session.send(calls.cancel_operation(identifier))
            raise Stop("Cancelled and rolled back", status=Exit.FAILURE)
    advice = f"See how it goes: backy pools show {short(guid)}"
    raise Stop("It goes on without you", advice, status=Exit.INTERRUPTED)


class Display(Protocol):
    def show(self, step: str, percent: int, done: bool) -> None: ...
    def print(self, line: str) -> None: ...


@contextmanager
def _shown(session: Session) -> Iterator[Display]:
    if session.json or not sys.stderr.isatty():
        yield _Lines(quiet=session.json)
        return
    from backy_core.cli.bar import Bar

    with Bar(coloured=not session.env.get("NO_COLOR")) as bar:
        yield bar


class _Lines:
    """A line for each step, for pipes and logs."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._said = ""

    def show(self, step: str, percent: int, done: bool) -> None:
        if step != self._said:
            self.print(step)
            self._said = step

    def print(self, line: str) -> None:
        if not self._quiet:
            print(line, file=sys.stderr)
