"""Show something again whenever it changes."""

from __future__ import annotations

from collections.abc import Callable

from backy_core.cli.session import Session


def show(session: Session, text: Callable[[], str]) -> None:
    """Print it once or, with --watch, at every event until Ctrl-C: on a terminal in its place."""
    if not session.flag("watch"):
        print(text())
        return
    shown = None
    clear = "\x1b[H\x1b[2J" if session.screen.is_terminal and not session.json else ""
    try:
        for _ in session.client.events():
            if (now := text()) != shown:
                print(f"{clear}{now}", flush=True)
                shown = now
    except KeyboardInterrupt:
        return
