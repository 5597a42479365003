"""``backy context``."""

from __future__ import annotations

import sys
from pathlib import Path

from backy_core.cli.context_file import read, write
from backy_core.cli.exits import Exit
from backy_core.cli.session import Session
from backy_core.cli.stop import Stop
from backy_core.client.address import parse


def list(session: Session) -> None:
    known = read(session.env)
    if session.json:
        shown = {name: context["url"] for name, context in known["contexts"].items()}
        session.show({"current": known.get("current"), "contexts": shown})
        return
    if not known["contexts"]:
        session.say("Commands speak to the agent of this machine. For others: backy context add")
        return
    rows = [
        [name, context["url"], "yes" if name == known.get("current") else ""]
        for name, context in known["contexts"].items()
    ]
    print(session.screen.table(("NAME", "URL", "IN USE"), rows))


def add(session: Session) -> None:
    name, url = session.arguments.name, session.arguments.url
    try:
        address = parse(url)
    except ValueError as error:
        raise Stop(str(error)) from error
    known = read(session.env)
    key = "" if address.path else _key(session)
    known["contexts"][name] = {"url": url, "key": key}
    known["current"] = known.get("current") or name
    write(session.env, known)
    if (
        not address.path
        and not address.tls
        and address.host not in ("127.0.0.1", "::1", "localhost")
    ):
        session.note("The key travels unencrypted to this address: prefer https.")
    session.say(f"Context {name} is remembered; in use: {known['current']}.")


def _key(session: Session) -> str:
    """Never from the command line, where everyone on the machine can read it."""
    if file := session.option("key_file"):
        try:
            return Path(file).read_text().strip()
        except (OSError, ValueError) as error:
            raise Stop(f"{file} cannot be read: {error}", status=Exit.CONFIG) from error
    if key := session.env.get("BACKY_API_KEY"):
        return key
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    from getpass import getpass

    return getpass("API key: ").strip()


def use(session: Session) -> None:
    known = read(session.env)
    name = _known(known, session.arguments.name)
    write(session.env, {**known, "current": name})
    session.say(f"Commands speak to {name} now.")


def remove(session: Session) -> None:
    known = read(session.env)
    name = _known(known, session.arguments.name)
    del known["contexts"][name]
    known["current"] = None if known.get("current") == name else known.get("current")
    write(session.env, known)
    session.say(f"Context {name} is forgotten.")


def _known(known: dict[str, dict[str, object]], name: str) -> str:
    if name not in known["contexts"]:
        raise Stop(f"There is no context {name}", status=Exit.CONFIG)
    return name
