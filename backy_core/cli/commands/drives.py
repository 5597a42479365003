"""``backy drives``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from backy_core.cli.consent import content
from backy_core.cli.finding import find_drive
from backy_core.cli.screen import size
from backy_core.cli.session import Session
from backy_core.cli.watching import show as show_again
from backy_core.cli.wording import in_commands
from backy_core.client import calls

if TYPE_CHECKING:
    from backy_core.client.replies import Drive

_NO_DRIVES = """\
No drive is connected that the agent may use. It leaves out the system's own, and those of the
setting exclude_drives."""


def list(session: Session) -> None:
    def text() -> str:
        reply = session.send(calls.list_drives())
        if session.json:
            return json.dumps(reply)
        drives = reply["blockdevices"]
        if not drives:
            return _NO_DRIVES
        return session.screen.table(("SERIAL", "MODEL", "SIZE", "NODE", "USE"), map(_row, drives))

    show_again(session, text)


def _row(drive: Drive) -> Sequence[str]:
    maker = " ".join(filter(None, (drive["vendor"], drive["model"]))).strip()
    return [drive["serial"] or "-", maker or "-", size(drive["size"]), drive["name"], use(drive)]


def use(drive: Drive) -> str:
    """In a few words."""
    if drive["available"]:
        return f"free, holds {content(drive)}" if content(drive) else "free"
    reason = in_commands(drive["unavailableBecause"] or "in use")
    for beginning in (f"Drive {drive['serial']} ", "It ", "is ", "a "):
        reason = reason.removeprefix(beginning)
    return reason


def show(session: Session) -> None:
    drive = find_drive(session, session.arguments.serial)
    status = session.send(calls.show_drive(drive["serial"] or ""))
    if session.json:
        session.show({**drive, **status})
        return
    print(
        session.screen.facts(
            [
                ("serial", drive["serial"] or ""),
                ("model", " ".join(filter(None, (drive["vendor"], drive["model"])))),
                ("size", size(drive["size"])),
                ("node", f"{drive['path']} (until it is plugged in again)"),
                ("use", use(drive)),
                ("on it", content(drive)),
                ("protected", "yes" if drive["protected"] else ""),
                ("pool", status["poolGroupGuid"] or ""),
                ("mounted at", status["mountPoint"] or ""),
            ]
        )
    )


def protect(session: Session) -> None:
    serial = find_drive(session, session.arguments.serial)["serial"] or ""
    reply = session.send(calls.protect_drive(serial))
    session.tell(reply, f"Drive {serial} is protected: nothing can erase it.")


def unprotect(session: Session) -> None:
    serial = find_drive(session, session.arguments.serial)["serial"] or ""
    reply = session.send(calls.unprotect_drive(serial))
    session.tell(reply, f"Drive {serial} is no longer protected.")


def refresh(session: Session) -> None:
    reply = session.send(calls.refresh_drives())
    session.tell(reply, f"{reply['message']}.")
