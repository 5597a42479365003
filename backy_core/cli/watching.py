"""Show something again whenever it changes."""

from __future__ import annotations

import time
from collections.abc import Callable

from backy_core.cli.session import Session

_PAUSE_S = 1.0


def show(session: Session, text: Callable[[], str]) -> None:
    """Print it once or, with --watch, until Ctrl-C: on a terminal in its place."""
    if not session.flag("watch"):
        print(text())
        return
    shown = None
    try:
        while True:
            if (now := text()) != shown:
                clear = "\x1b[H\x1b[2J" if session.screen.is_terminal and not session.json else ""
                print(f"{clear}{now}", flush=True)
                shown = now
            time.sleep(_PAUSE_S)
    except KeyboardInterrupt:
        return
