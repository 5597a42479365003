"""Runs in the guest: cause events, and ask the API or follow its events until they show. Standard
library only.

Arguments: `ask` or `follow`, address, key, GUID, the member's serial, the link that plugs it in,
how often. Prints a JSON object of milliseconds by event.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

_POLL_S = 0.02
_PATIENCE_S = 60.0
_REST_S = 1.5


class View(Protocol):
    """What a client of the agent knows."""

    def status(self) -> str | None:
        """Of the member that things happen to."""

    def listed(self) -> bool:
        """Whether there is a drive with its serial."""

    def look(self) -> None:
        """Wait, no longer than until there is something new."""


class Asking:
    """Asks anew each time."""

    def __init__(self, address: str, key: str, guid: str, serial: str) -> None:
        self._connection = http.client.HTTPConnection(address)
        self._headers = {"X-Api-Key": key}
        self._guid = guid
        self._serial = serial

    def status(self) -> str | None:
        return _status(self._get(f"/pools/{self._guid}"), self._serial)

    def listed(self) -> bool:
        drives = self._get("/drives")["blockdevices"]
        return any(drive["serial"] == self._serial for drive in drives)

    def look(self) -> None:
        time.sleep(_POLL_S)

    def _get(self, path: str) -> Any:
        self._connection.request("GET", f"/api/v1{path}", headers=self._headers)
        return json.load(self._connection.getresponse())


class Following:
    """Follows the events, in a thread of its own: what is not read yet would be taken for new."""

    def __init__(self, address: str, key: str, guid: str, serial: str) -> None:
        self._connection = http.client.HTTPConnection(address)
        self._connection.request("GET", "/api/v1/events", headers={"X-Api-Key": key})
        self._reply = self._connection.getresponse()
        self._guid = guid
        self._serial = serial
        self._pools: dict[str, Any] = {}
        self._drives: dict[str, str] = {}
        self._came = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()
        while not self._pools:
            self.look()

    def status(self) -> str | None:
        return _status(self._pools[self._guid], self._serial)

    def listed(self) -> bool:
        return self._serial in self._drives.values()

    def look(self) -> None:
        with self._came:
            self._came.wait(_POLL_S)

    def _read(self) -> None:
        name = ""
        for line in self._reply:
            field, _, value = line.rstrip().partition(b": ")
            if field == b"event":
                name = value.decode()
            elif field == b"data":
                with self._came:
                    self._take(name, json.loads(value))
                    self._came.notify()

    def _take(self, name: str, data: Any) -> None:
        if name == "snapshot":
            self._pools = {pool["poolGroupGuid"]: pool for pool in data["pools"]}
            drives = data["drives"]["blockdevices"]
            self._drives = {drive["name"]: drive["serial"] for drive in drives}
        elif name == "pool":
            self._pools[data["poolGroupGuid"]] = data
        elif name == "drive":
            self._drives[data["name"]] = data["serial"]
        elif name == "drive-removed":
            del self._drives[data["name"]]


def _status(pool: Any, serial: str) -> str | None:
    members = {drive["serial"]: drive["status"] for drive in pool["drives"]}
    return members.get(serial)


def main() -> None:
    how, address, key, guid, serial, link, count = sys.argv[1:]
    kinds: dict[str, type[Asking] | type[Following]] = {"ask": Asking, "follow": Following}
    view: View = kinds[how](address, key, guid, serial)
    target = Path(link).resolve()

    def node() -> Path:
        (disk,) = Path("/dev/disk/by-id").glob(f"*{serial}")
        return disk.resolve()

    def back(array: str) -> None:
        subprocess.run(["mdadm", "--re-add", f"/dev/{array}", str(node())], check=True)
        while view.status() != "active":
            view.look()
        _rest()

    times: dict[str, list[float]] = {"failed": [], "pulled": [], "plugged": []}
    for _ in range(int(count)):
        member = node().name
        (state,) = Path("/sys/block").glob(f"md*/md/dev-{member}/state")
        array = state.parts[3]
        fail = partial(state.write_text, "faulty")
        times["failed"].append(_shown(view, fail, lambda: view.status() == "failed"))
        _rest()
        subprocess.run(["mdadm", "--remove", f"/dev/{array}", f"/dev/{member}"], check=True)
        back(array)
        pull = partial(os.unlink, link)
        times["pulled"].append(_shown(view, pull, lambda: view.status() != "active"))
        _rest()
        plug = partial(os.symlink, target, link)
        times["plugged"].append(_shown(view, plug, view.listed))
        _rest()
        back(array)
    print(json.dumps(times))


def _shown(view: View, cause: Callable[[], Any], shown: Callable[[], bool]) -> float:
    """Milliseconds from ``cause`` until ``shown``."""
    began = time.monotonic()
    cause()
    while not shown():
        if time.monotonic() - began > _PATIENCE_S:
            raise SystemExit("the API does not show it")
        view.look()
    return (time.monotonic() - began) * 1000


def _rest() -> None:
    """Wait until the last event is handled, so that the next comes after quiet."""
    subprocess.run(["udevadm", "settle"], check=True)
    time.sleep(_REST_S)


if __name__ == "__main__":
    main()
