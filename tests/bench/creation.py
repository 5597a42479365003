"""From POST to ``ready`` against the same four commands in a shell script, and against UDisks2.

All in one guest, in turns, on the same two drives. Whoever's turn it is not is stopped (SIGSTOP):
an agent or a udisksd that follows the events of another's work would slow that work.
"""

from __future__ import annotations

import http.client
import json
import re
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench import udisks
from tests.bench.figures import Comparison, Goal
from tests.kernel.lab.agent import AgentGuest
from tests.kernel.lab.drives import Drive

_DRIVES = (
    Drive("drive-bench1", size=256 << 20, bus="ubd"),
    Drive("drive-bench2", size=256 << 20, bus="ubd"),
)
_POLL_S = 0.05
_UNASKED = 0.9
"""Of the last turn's time: to be asked costs the guest's one processor some 10 ms."""
_PATIENCE_S = 60.0
_REST_S = 0.6
"""Between two turns, so that what one left behind (a resync, udev's rules) is over."""
_PROGRAMS = re.compile(r"\$ (mdadm --create|mkfs\.|mkdir|mount )")
_GOAL = Goal(at_most=1.3)

_TIMED = """
read began _ < /proc/uptime
sh /tmp/up.sh > /tmp/up.log 2>&1 || { cat /tmp/up.log >&2; exit 1; }
read ended _ < /proc/uptime
echo $began $ended
"""
# Content too, as the agent does it: its next pool would find an old filesystem, and wipe it.
_DOWN = """
umount "$1" && for md in /dev/md[0-9]*; do
	wipefs --all --quiet "$md"
	mdadm --stop "$md"
done
wipefs --all --quiet /dev/ubda /dev/ubdb
rmdir "$1"
"""


class Creation:
    """One guest and who works in it."""

    def __init__(self, guest: AgentGuest) -> None:
        self._guest = guest
        self._script = ""
        self._path = ""
        self._last_s = 0.0

    # the agent

    def by_agent(self) -> float:
        """Milliseconds from sending the POST until the detail says ``ready``."""
        guid = str(uuid.uuid4())
        self._path = f"/mnt/backy/{guid}"
        body = {
            "label": "bench",
            "driveSerials": [drive.serial for drive in _DRIVES],
            "mountPath": self._path,
            "poolGroupGuid": guid,
            "wipe": True,
        }
        with self._connection() as call:
            began = time.perf_counter()
            call("POST", "/api/v1/pools", body)
            time.sleep(_UNASKED * self._last_s)
            while (pool := call("GET", f"/api/v1/pools/{guid}"))["state"] != "ready":
                if pool["state"] != "creating" or time.perf_counter() - began > _PATIENCE_S:
                    raise RuntimeError(f"the pool is {pool}")
                time.sleep(_POLL_S)
            self._last_s = elapsed = time.perf_counter() - began
            self._script = _script(call("GET", f"/api/v1/pools/{guid}/outputs")["outputs"])
            call("DELETE", f"/api/v1/pools/{guid}")
        return elapsed * 1000

    @contextmanager
    def _connection(self) -> Iterator[Callable[..., Any]]:
        connection = http.client.HTTPConnection(self._guest.url.removeprefix("http://"))
        key = self._guest.api_key

        def call(method: str, path: str, body: Any = None) -> Any:
            data = None if body is None else json.dumps(body)
            headers = {"X-Api-Key": key, "Content-Type": "application/json"}
            connection.request(method, path, data, headers)
            reply = connection.getresponse()
            answer = json.load(reply)
            if reply.status >= 400:
                raise RuntimeError(f"{method} {path}: {answer}")
            return answer

        try:
            connection.connect()
            yield call
        finally:
            connection.close()

    # the script

    def by_script(self) -> float:
        """Milliseconds of the commands the agent ran last, in a shell script.

        By the guest's own clock, which has 10 ms steps: reading it starts no process.
        """
        self._guest.exec(f"cat > /tmp/up.sh <<'END'\nset -e\n{self._script}\nEND\n", check=True)
        began, ended = self._guest.exec(_TIMED, check=True).out.split()
        self._guest.exec(["sh", "-c", _DOWN, "sh", self._path], check=True)
        return (float(ended) - float(began)) * 1000

    # UDisks2

    def by_udisks(self) -> float:
        return udisks.create(self._guest)

    @contextmanager
    def turn_of(self, name: str | None) -> Iterator[None]:
        """Everyone but ``name`` stands still; then all rest."""
        others = [pid for who, pid in self._pids().items() if who != name]
        stop = "; ".join(f"kill -STOP {pid}" for pid in others)
        self._guest.exec(f"udevadm settle; sleep {_REST_S}; {stop}", check=True)
        try:
            yield
        finally:
            cont = "; ".join(f"kill -CONT {pid}" for pid in others)
            self._guest.exec(f"udevadm settle; {cont}", check=True)

    def _pids(self) -> dict[str, int]:
        pids = {"agent": self._guest.agent_status()["pid"], "udisks": udisks.pid(self._guest)}
        return {name: pid for name, pid in pids.items() if pid}


def compare(repetitions: int, *, with_udisks: bool) -> list[Comparison]:
    with (
        tempfile.TemporaryDirectory(prefix="backy-bench-") as directory,
        AgentGuest(Path(directory), _DRIVES) as guest,
    ):
        if with_udisks:
            udisks.start(guest)
        return _compare(Creation(guest), repetitions, with_udisks=with_udisks)


def _compare(bench: Creation, repetitions: int, *, with_udisks: bool) -> list[Comparison]:
    sides: dict[str | None, Callable[[], float]] = {"agent": bench.by_agent, None: bench.by_script}
    if with_udisks:
        sides["udisks"] = bench.by_udisks
    times: dict[str | None, list[float]] = {name: [] for name in sides}
    for number in range(repetitions + 1):
        for name, side in sides.items():
            with bench.turn_of(name):
                elapsed = side()
            if number:  # the first turn of each warms the caches
                times[name].append(elapsed)
    ours, script = times["agent"], times[None]
    what = "POST until ready, RAID1 + ext4"
    rows = [Comparison(what, "shell script, same commands", "ms", ours, script, _GOAL)]
    if with_udisks:
        rows.append(Comparison(what, "UDisks2 over D-Bus", "ms", ours, times["udisks"]))
    return rows


def _script(outputs: list[str]) -> str:
    """The commands a person would need, out of those the agent says it ran."""
    return "\n".join(line.removeprefix("$ ") for line in outputs if _PROGRAMS.match(line))
