"""``backy doctor``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from backy_core.cli.consent import agree, confirm, content, named
from backy_core.cli.exits import Exit
from backy_core.cli.finding import find_drive, find_trouble
from backy_core.cli.following import follow
from backy_core.cli.planning import lines_of, show_plan
from backy_core.cli.screen import short
from backy_core.cli.session import Session
from backy_core.cli.stop import Stop
from backy_core.cli.wording import in_commands, subject_word
from backy_core.client import calls

if TYPE_CHECKING:
    from backy_core.client.replies import Finding, Plan


def examine(session: Session) -> Exit:
    """Say what is wrong, the most severe first; it fails if there is an error."""
    if name := session.option("fix"):
        _fix(session, name)
        return Exit.OK
    reply = session.send(calls.examine())
    findings = reply["findings"]
    if session.json:
        session.show(reply)
    elif not findings:
        session.say("Nothing is wrong.")
    for finding in () if session.json else findings:
        _say(session, finding)
    return Exit.FAILURE if any(one["severity"] == "error" for one in findings) else Exit.OK


def _say(session: Session, finding: Finding) -> None:
    remedy, command = in_commands(finding["remedy"] or ""), _advised(finding)
    fix = f"backy doctor --fix {subject_word(finding['subject'])}" if finding["repairable"] else ""
    lines = [
        f"{finding['severity']}: {finding['message']}",
        *(f"    {line}" for line in finding["evidence"]),
        *(f"    To do: {line}" for line in filter(None, (remedy, command, fix))),
    ]
    for line in lines:
        print(session.screen.prose(line, "      "))


def _advised(finding: Finding) -> str:
    request = finding["request"]
    return in_commands(f"{request['method']} {request['path']}") if request else ""


def _fix(session: Session, name: str) -> None:
    finding = find_trouble(session, name)
    check, subject = finding["check"], finding["subject"]
    if not finding["repairable"]:
        advice = filter(None, (in_commands(finding["remedy"] or ""), _advised(finding)))
        raise Stop(f"{finding['message']}; --fix cannot help", *advice, status=Exit.REFUSED)
    planned = session.send(calls.plan_repair(check, subject))
    if session.flag("dry_run"):
        show_plan(session, planned, planned["plan"])
        return
    erases = _consent(session, finding, planned["plan"])
    call = calls.watch_repair(check, subject, subject if erases else None)
    accepted = session.send(call)
    operation = accepted["operation"]
    if session.flag("detach"):
        way = f"Accepted. See how it goes: backy operations show {short(operation['id'])} --watch"
        session.tell(accepted, way)
        return
    operation = follow(session, operation["id"], operation["poolGroupGuid"])
    session.tell({"success": True, "operation": operation}, "It is repaired.")


def _consent(session: Session, finding: Finding, plan: Plan) -> bool:
    """Show the plan and ask. Whether it erases anything."""
    subject = finding["subject"]
    if not session.json:
        session.note(finding["message"])
        print(*lines_of(session, plan), sep="\n", file=sys.stderr)
    if all(step["effect"] != "destroys" for step in plan["steps"]):
        agree(session, "Do this?")
        return False
    drive = find_drive(session, subject)
    rows = [[*named(drive), content(drive) or "see above"]]
    confirm(session, "This erases for good what is on:", rows, subject)
    return True
