"""``backy pools``: the verbs that look."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from backy_core.cli.screen import short, size
from backy_core.cli.session import Session
from backy_core.cli.watching import show as show_again
from backy_core.client import calls

if TYPE_CHECKING:
    from backy_core.client.replies import ListedPool, PoolDetail

_NO_POOLS = """\
There are no pools yet. To make one of two free drives:
  backy drives
  backy pools create LABEL SERIAL SERIAL"""


def list(session: Session) -> None:
    def text() -> str:
        pools = session.send(calls.list_pools(state=session.option("state")))
        if session.json:
            return json.dumps(pools)
        if not pools:
            return _NO_POOLS if not session.option("state") else "There are none."
        heads = ("LABEL", "ID", "STATE", "HEALTH", "LEVEL", "SIZE", "USED", "DRIVES", "PATH")
        return session.screen.table(heads, map(_row, pools))

    show_again(session, text)


def _row(pool: ListedPool) -> Sequence[str]:
    connected = sum(drive["isConnected"] for drive in pool["drives"])
    count = pool["driveCount"]
    return [
        pool["label"],
        short(pool["poolGroupGuid"]),
        pool["state"],
        health(pool),
        pool.get("level") or "-",
        size(pool.get("size")),
        pool.get("usePercent", "-") if pool["isMounted"] else "-",
        str(count) if connected == count else f"{connected}/{count}",
        (pool["mountPath"] or "-") if pool["isMounted"] else "-",
    ]


def health(pool: ListedPool | PoolDetail) -> str:
    """With how far a rebuild is, if one runs."""
    word = pool.get("poolStatus") or "-"
    done = pool.get("resyncPercentage")
    return word if done is None else f"{word} {done:.0f}%"


def show(session: Session) -> None:
    from backy_core.cli.finding import find_pool

    guid = find_pool(session, session.arguments.pool)["poolGroupGuid"]

    def text() -> str:
        if session.json:
            return json.dumps(session.send(calls.show_pool(guid)))
        return pool_text(session, guid)

    show_again(session, text)


def pool_text(session: Session, guid: str) -> str:
    """A pool and its drives."""
    from backy_core.cli.wording import in_commands

    pool = session.send(calls.show_pool(guid))
    screen = session.screen
    facts = screen.facts(
        [
            ("label", pool.get("label", "")),
            ("id", guid),
            ("state", pool["state"]),
            ("health", health(pool)),
            ("remaining", _estimate(pool)),
            (
                "kind",
                " ".join(
                    filter(None, (pool.get("backend"), pool.get("level"), pool.get("filesystem")))
                ),
            ),
            ("size", _space(pool)),
            (
                "mounted at" if pool["state"] == "ready" else "last mounted at",
                pool.get("mountPath") or "",
            ),
            ("created", _day(pool.get("createdAt"))),
            ("opens on", _opens_on(pool)),
        ]
    )
    parts = [facts]
    troubles = filter(None, (pool.get("errorMessage"), pool.get("staleBecause")))
    parts += [screen.paint(screen.clean(in_commands(trouble)), "33") for trouble in troubles]
    if drives := pool.get("drives"):
        rows = [[drive["serial"], drive["status"], drive["label"] or ""] for drive in drives]
        heads = ("DRIVE", "STATE", "LABEL" if any(row[2] for row in rows) else "")
        parts.append(screen.table(heads, rows))
    return "\n\n".join(parts)


def _space(pool: PoolDetail) -> str:
    if not pool.get("size"):
        return ""
    return f"{size(pool['size'])}, {size(pool['available'])} free ({pool['usePercent']} used)"


def _estimate(pool: PoolDetail) -> str:
    """As a range: a resync slows down with what else the drives do."""
    minutes = pool.get("resyncTimeEstimate")
    if minutes is None or minutes <= 0:
        return ""
    return f"{_span(minutes)} to {_span(minutes * 2)}"


def _span(minutes: float) -> str:
    if minutes < 2:
        return f"{max(1, round(minutes * 60))} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"


def _day(time: str | None) -> str:
    return time[:16].replace("T", " ") if time else ""


def _opens_on(pool: PoolDetail) -> str:
    opens_on = pool.get("opensOn")
    return f"Linux {opens_on['kernel']} and newer" if opens_on and opens_on["kernel"] else ""


def outputs(session: Session) -> None:
    from backy_core.cli.finding import find_pool

    guid = find_pool(session, session.arguments.pool)["poolGroupGuid"]

    def text() -> str:
        reply = session.send(calls.pool_outputs(guid))
        if session.json:
            return json.dumps(reply)
        return "\n".join(map(session.screen.clean, reply["outputs"]))

    show_again(session, text)


def processes(session: Session) -> None:
    from backy_core.cli.finding import find_pool

    pool = find_pool(session, session.arguments.pool)
    reply = session.send(calls.pool_processes(pool["poolGroupGuid"]))
    found = reply["processes"]
    if session.json and not session.flag("kill"):
        session.show(reply)
        return
    if not found:
        session.say(f"No process uses pool {pool['label']}.")
    else:
        rows = [[str(one["pid"]), one["user"], one["name"], one["path"]] for one in found]
        print(session.screen.table(("PID", "USER", "NAME", "USES"), rows))
    if not session.flag("kill"):
        return
    from backy_core.cli.consent import agree

    agree(session, f"End {len(found)} processes and unmount {pool['label']}?")
    pids = [one["pid"] for one in found]
    killed = session.send(calls.kill_processes(pool["poolGroupGuid"], pids, "UnmountPool"))
    session.tell(killed, f"Pool {pool['label']} is unmounted; its drives may be unplugged.")
