"""``backy events``."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from backy_core.cli.screen import short
from backy_core.cli.session import Session
from backy_core.cli.wording import in_commands

if TYPE_CHECKING:
    from backy_core.client.events import Event


def follow(session: Session) -> None:
    """A line for each event, until Ctrl-C."""
    labels: dict[str, str] = {}
    try:
        for event in session.client.events():
            if session.json:
                line = {"id": event.id, "event": event.name, "data": event.data}
                print(json.dumps(line), flush=True)
                continue
            for text in _lines(event, labels):
                now = session.screen.dim(time.strftime("%H:%M:%S"))
                print(f"{now}  {session.screen.clean(text)}", flush=True)
    except KeyboardInterrupt:
        return


def _lines(event: Event, labels: dict[str, str]) -> list[str]:
    data = event.data
    if event.name == "snapshot":
        labels.update({pool["poolGroupGuid"]: pool["label"] for pool in data["pools"]})
        return [_pool(pool) for pool in data["pools"]]
    guid = data.get("poolGroupGuid") or ""
    named = labels.get(guid, short(guid))
    if event.name == "pool":
        labels[guid] = data["label"]
        return [_pool(data)]
    if event.name == "pool-removed":
        return [f"pool {named} is gone"]
    if event.name == "operation":
        progress = data["progress"]
        if data["state"] == "running":
            step = f"{progress['step']}/{progress['steps']} {progress['title']}"
            return [f"{data['kind']} {named}: {step} ({progress['percent']}%)"]
        error = in_commands(data["errorMessage"] or "")
        return [f"{data['kind']} {named}: {data['state']}{': ' * bool(error)}{error}"]
    if event.name == "outputs":
        return [f"{named} | {line}" for line in data["lines"]]
    if event.name == "drive":
        use = "free" if data["available"] else in_commands(data["unavailableBecause"] or "in use")
        return [f"drive {data['serial']} ({data['name']}): {use}"]
    if event.name == "drive-removed":
        return [f"drive {data['name']} is gone"]
    return []


def _pool(pool: dict[str, Any]) -> str:
    members = [f"{drive['serial']} {drive['status']}" for drive in pool["drives"]]
    words = " ".join(filter(None, (pool["state"], pool["poolStatus"])))
    done = pool.get("resyncPercentage")
    progress = "" if done is None else f" {done:.0f}%"
    return f"pool {pool['label']}: {words}{progress} ({', '.join(members)})"
