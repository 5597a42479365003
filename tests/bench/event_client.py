"""Runs in the guest: cause events and ask the API until it shows them. Standard library only.

Arguments: address, key, GUID, the member's serial, the link that plugs it in, how often.
Prints a JSON object of milliseconds by event.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

_POLL_S = 0.02
_PATIENCE_S = 60.0
_REST_S = 1.5


class Api:
    def __init__(self, address: str, key: str) -> None:
        self._connection = http.client.HTTPConnection(address)
        self._headers = {"X-Api-Key": key}

    def get(self, path: str) -> Any:
        self._connection.request("GET", f"/api/v1{path}", headers=self._headers)
        return json.load(self._connection.getresponse())


def main() -> None:
    address, key, guid, serial, link, count = sys.argv[1:]
    api = Api(address, key)
    target = Path(link).resolve()

    def status() -> str | None:
        members = {d["serial"]: d["status"] for d in api.get(f"/pools/{guid}")["drives"]}
        return members.get(serial)

    def listed() -> bool:
        return any(drive["serial"] == serial for drive in api.get("/drives")["blockdevices"])

    def node() -> Path:
        (disk,) = Path("/dev/disk/by-id").glob(f"*{serial}")
        return disk.resolve()

    def back(array: str) -> None:
        subprocess.run(["mdadm", "--re-add", f"/dev/{array}", str(node())], check=True)
        while status() != "active":
            time.sleep(_POLL_S)
        _rest()

    times: dict[str, list[float]] = {"failed": [], "pulled": [], "plugged": []}
    for _ in range(int(count)):
        member = node().name
        (state,) = Path("/sys/block").glob(f"md*/md/dev-{member}/state")
        array = state.parts[3]
        fail = partial(state.write_text, "faulty")
        times["failed"].append(_shown(fail, lambda: status() == "failed"))
        _rest()
        subprocess.run(["mdadm", "--remove", f"/dev/{array}", f"/dev/{member}"], check=True)
        back(array)
        times["pulled"].append(_shown(partial(os.unlink, link), lambda: status() != "active"))
        _rest()
        times["plugged"].append(_shown(partial(os.symlink, target, link), listed))
        _rest()
        back(array)
    print(json.dumps(times))


def _shown(cause: Callable[[], Any], shown: Callable[[], bool]) -> float:
    """Milliseconds from ``cause`` until ``shown``."""
    began = time.monotonic()
    cause()
    while not shown():
        if time.monotonic() - began > _PATIENCE_S:
            raise SystemExit("the API does not show it")
        time.sleep(_POLL_S)
    return (time.monotonic() - began) * 1000


def _rest() -> None:
    """Wait until the last event is handled, so that the next comes after quiet."""
    subprocess.run(["udevadm", "settle"], check=True)
    time.sleep(_REST_S)


if __name__ == "__main__":
    main()
