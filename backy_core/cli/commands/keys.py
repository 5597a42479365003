"""``backy keys``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backy_core.cli.consent import agree
from backy_core.cli.session import Session
from backy_core.client import calls

if TYPE_CHECKING:
    from backy_core.client.replies import Secret


def list(session: Session) -> None:
    reply = session.send(calls.list_keys())
    if session.json:
        session.show(reply)
        return
    rows = [
        [key["name"], key["scope"], _minute(key["createdAt"]), _minute(key["lastUsedAt"])]
        for key in reply["keys"]
    ]
    print(session.screen.table(("NAME", "SCOPE", "MADE", "LAST USED"), rows))


def _minute(time: str | None) -> str:
    return time[:16].replace("T", " ") if time else "-"


def create(session: Session) -> None:
    name, scope = session.arguments.name, session.option("scope", "read")
    _show(session, session.send(calls.create_key(name, scope)))


def rotate(session: Session) -> None:
    name = session.arguments.name
    agree(session, f"Refuse the secret that {name} has now?")
    _show(session, session.send(calls.rotate_key(name)))


def _show(session: Session, reply: Secret) -> None:
    if session.json:
        session.show(reply)
        return
    session.note("Keep it: it is shown only this once.")
    session.say(reply["secret"])


def revoke(session: Session) -> None:
    name = session.arguments.name
    agree(session, f"Refuse key {name} from now on?")
    reply = session.send(calls.revoke_key(name))
    session.tell(reply, f"{reply['message']}.")
