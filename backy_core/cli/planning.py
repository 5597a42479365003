"""Show a plan in the agent's own words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backy_core.cli.session import Session

if TYPE_CHECKING:
    from backy_core.client.replies import Plan


def show_plan(session: Session, reply: object, plan: Plan) -> None:
    """Print the plan of a dry run."""
    if session.json:
        session.show(reply)
        return
    for line in lines_of(session, plan):
        print(line)
    session.say("Nothing was changed.")


def lines_of(session: Session, plan: Plan) -> list[str]:
    screen, lines = session.screen, []
    for number, step in enumerate(plan["steps"], 1):
        erases = screen.paint("  erases", "31") if step["effect"] == "destroys" else ""
        lines.append(f"{number}. {screen.bold(screen.clean(step['title']))}{erases}")
        lines.append(f"   $ {screen.clean(step['command'])}")
        if step["undo"]:
            lines.append(screen.dim(f"   if it fails: {screen.clean(step['undo'])}"))
    return lines
