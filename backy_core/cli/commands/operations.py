"""``backy operations``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from backy_core.cli.consent import agree
from backy_core.cli.finding import find_operation
from backy_core.cli.screen import short
from backy_core.cli.session import Session
from backy_core.cli.watching import show as show_again
from backy_core.cli.wording import in_commands
from backy_core.client import calls

if TYPE_CHECKING:
    from backy_core.client.replies import Operation


def list(session: Session) -> None:
    def text() -> str:
        operations = session.send(calls.list_operations())
        if session.json:
            return json.dumps(operations)
        if not operations:
            return "Nothing runs, and nothing has ended lately."
        pools = session.send(calls.list_pools())
        labels = {pool["poolGroupGuid"]: pool["label"] for pool in pools}
        heads = ("ID", "KIND", "POOL", "STATE", "STARTED", "STEP")
        return session.screen.table(heads, (_row(one, labels) for one in operations))

    show_again(session, text)


def _row(operation: Operation, labels: dict[str, str]) -> Sequence[str]:
    guid = operation["poolGroupGuid"]
    return [
        short(operation["id"]),
        operation["kind"],
        labels.get(guid, short(guid)),
        operation["state"],
        operation["startedAt"][11:19],
        step(operation),
    ]


def step(operation: Operation) -> str:
    progress = operation["progress"]
    return f"{progress['step']}/{progress['steps']} {progress['title']} ({progress['percent']}%)"


def show(session: Session) -> None:
    identifier = find_operation(session, session.arguments.operation)["id"]

    def text() -> str:
        operation = session.send(calls.show_operation(identifier))
        if session.json:
            return json.dumps(operation)
        return session.screen.facts(
            [
                ("id", operation["id"]),
                ("kind", operation["kind"]),
                ("pool", operation["poolGroupGuid"]),
                ("state", operation["state"]),
                ("step", step(operation)),
                ("started", operation["startedAt"]),
                ("ended", operation["finishedAt"] or ""),
                ("error", in_commands(operation["errorMessage"] or "")),
            ]
        )

    show_again(session, text)


def cancel(session: Session) -> None:
    operation = find_operation(session, session.arguments.operation)
    agree(session, f"Cancel {operation['kind']} and roll it back?")
    reply = session.send(calls.cancel_operation(operation["id"]))
    session.tell(reply, f"It is {reply['operation']['state']}.")
