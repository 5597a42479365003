"""Ask before anything is erased: what it is, and that the label is typed."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from backy_core.cli.exits import Exit
from backy_core.cli.screen import size
from backy_core.cli.session import Session
from backy_core.cli.stop import Stop

if TYPE_CHECKING:
    from backy_core.client.replies import Block, Drive


def content(block: Block) -> str:
    """The content of a drive, as far as its signatures tell."""
    parts = [block["fstype"] or "", *map(content, block["children"])]
    if block["mountpoint"]:
        parts.append(f"mounted at {block['mountpoint']}")
    return ", ".join(dict.fromkeys(filter(None, parts)))


def named(drive: Drive) -> list[str]:
    """A drive as a person knows it."""
    maker = " ".join(filter(None, (drive["vendor"], drive["model"])))
    return [drive["serial"] or "", maker.strip() or "-", size(drive["size"])]


def confirm(session: Session, question: str, rows: Iterable[list[str]], answer: str) -> None:
    """Go on only if ``answer`` is typed, or --yes was given."""
    if session.flag("yes"):
        return
    note = session.screen
    heads = ("SERIAL", "MODEL", "SIZE", "ON IT")
    session.note(question)
    table = note.table(heads, rows)
    for line in table.splitlines():
        print(f"  {line}", file=sys.stderr)
    typed = ask(session, f"Type {session.screen.clean(answer)} to go on: ")
    if typed != answer:
        raise Stop("Nothing was changed: that was not it", status=Exit.REFUSED)


def agree(session: Session, question: str) -> None:
    """Go on after a yes, or with --yes."""
    if session.flag("yes"):
        return
    if ask(session, f"{session.screen.clean(question)} [y/N] ").lower() not in ("y", "yes"):
        raise Stop("Nothing was changed", status=Exit.REFUSED)


def ask(session: Session, prompt: str) -> str:
    """A line from the terminal."""
    if not sys.stdin.isatty():
        raise Stop("This needs an answer, and nobody is there to give it", "For scripts: --yes")
    print(prompt, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()
