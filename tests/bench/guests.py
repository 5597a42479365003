"""A guest in which the agent and a shell script do the same work in turns.

Whoever's turn it is not is stopped (SIGSTOP): an agent or a udisksd that follows the events of
another's work would slow that work.
"""

from __future__ import annotations

import http.client
import json
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.bench import udisks
from tests.kernel.lab.agent import AgentGuest

_REST_S = 0.6
"""Between two turns, so that what one left behind (a resync, udev's rules) is over."""
_POLL_S = 0.05
_UNASKED = 0.9
"""Of the last turn's time: to be asked costs the guest's one processor some 10 ms."""
_PATIENCE_S = 300.0
_SHOWN = "$ "

# udev may still look at a device that the next command wants for itself.
_HEAD = """
set -e
try() {
	n=0
	until "$@"; do
		n=$((n + 1)); [ $n -lt 100 ] || exit 1; sleep 0.05
	done
}
"""
_TIMED = """
read began _ < /proc/uptime
for script in /tmp/script.*; do sh $script > $script-log 2>&1 & pids="$pids $!"; done
for pid in $pids; do wait $pid || { cat /tmp/script.*-log >&2; exit 1; }; done
read ended _ < /proc/uptime
rm /tmp/script.*
echo $began $ended
"""

Call = Callable[..., Any]


class Bench:
    """The guest and who works in it."""

    def __init__(self, guest: AgentGuest) -> None:
        self.guest = guest

    @contextmanager
    def turn_of(self, name: str | None) -> Iterator[None]:
        """Everyone but ``name`` stands still; then all rest."""
        others = [pid for who, pid in self._pids().items() if who != name]
        stop = "; ".join(f"kill -STOP {pid}" for pid in others)
        self.rest()
        self.guest.exec(stop or ":", check=True)
        try:
            yield
        finally:
            cont = "; ".join(f"kill -CONT {pid}" for pid in others)
            self.guest.exec(f"udevadm settle; {cont}", check=True)

    def rest(self) -> None:
        self.guest.exec(f"udevadm settle; sleep {_REST_S}", check=True)

    def _pids(self) -> dict[str, int]:
        pids = {"agent": self.guest.agent_status()["pid"], "udisks": udisks.pid(self.guest)}
        return {name: pid for name, pid in pids.items() if pid}

    @contextmanager
    def calls(self) -> Iterator[Call]:
        """One connection to the agent; ``call(method, path, body)`` answers the parsed reply."""
        connection = http.client.HTTPConnection(self.guest.url.removeprefix("http://"))
        key = self.guest.api_key

        def call(method: str, path: str, body: Any = None) -> Any:
            data = None if body is None else json.dumps(body)
            headers = {"X-Api-Key": key, "Content-Type": "application/json"}
            connection.request(method, f"/api/v1{path}", data, headers)
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

    def run_timed(self, *scripts: Sequence[str]) -> float:
        """Milliseconds until all ``scripts``, each a list of commands, have run side by side.

        By the guest's own clock, which has 10 ms steps: reading it starts no process.
        """
        for number, commands in enumerate(scripts):
            text = _HEAD + "\n".join(f"try {command}" for command in commands)
            self.guest.exec(f"cat > /tmp/script.{number} <<'END'\n{text}\nEND\n", check=True)
        began, ended = self.guest.exec(_TIMED, timeout=_PATIENCE_S, check=True).out.split()
        return (float(ended) - float(began)) * 1000


class Waiting:
    """Asks whether pools are ready, and knows how long that took last time."""

    def __init__(self) -> None:
        self._last_s = 0.0

    def until_ready(self, call: Call, guids: Iterable[str], began: float) -> float:
        """Milliseconds from ``began`` (perf_counter) until all are ``ready``."""
        time.sleep(max(0.0, began + _UNASKED * self._last_s - time.perf_counter()))
        waited = list(guids)
        while waited:
            state = (pool := call("GET", f"/pools/{waited[-1]}"))["state"]
            if state == "ready":
                waited.pop()
                continue
            if state == "failed" or time.perf_counter() - began > _PATIENCE_S:
                raise RuntimeError(f"the pool is {pool}")
            time.sleep(_POLL_S)
        self._last_s = time.perf_counter() - began
        return self._last_s * 1000


def commands_of(call: Call, guid: str) -> list[str]:
    """The commands that the pool's last operation says it ran."""
    outputs = call("GET", f"/pools/{guid}/outputs")["outputs"]
    return [line.removeprefix(_SHOWN) for line in outputs if line.startswith(_SHOWN)]


def without_wiping(commands: Iterable[str]) -> list[str]:
    """Those of a creation that a person with blank drives would need."""
    return [command for command in commands if shlex.split(command)[0] != "wipefs"]
