"""``backy notify``."""

from __future__ import annotations

from backy_core.cli.exits import Exit
from backy_core.cli.session import Session
from backy_core.client import calls


def test(session: Session) -> Exit:
    """Say what each target answered; it fails unless all took the message."""
    reply = session.send(calls.send_test_message())
    targets = reply["targets"]
    if session.json:
        session.show(reply)
    elif not targets:
        session.say("No target is set: see targets in the table [plugins.notify] of backy.toml.")
    for target in () if session.json else targets:
        answer = "delivered" if target["delivered"] else f"not delivered: {target['reason']}"
        session.say(f"{target['target']}: {answer}")
    delivered = targets and all(target["delivered"] for target in targets)
    return Exit.OK if delivered else Exit.FAILURE
