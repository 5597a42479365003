"""The agent as a child of the command server: start, signal, ask, collect its log."""

import contextlib
import os
import signal
import subprocess
import threading
from typing import IO, Any

_LOG = "/.lab/agent.log"
_LOG_SECONDS = 2.0


class Agent:
    """At most one agent process; its output goes to `agent.log` in the state directory."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._log = threading.Thread()

    def start(self, request: dict[str, Any]) -> dict[str, Any]:
        """Start `argv` with `env` added; refuses when one runs."""
        if self._process is not None and self._process.poll() is None:
            raise ValueError("The agent is already running.")
        self._process = subprocess.Popen(
            request["argv"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={**os.environ, **request["env"]},
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._log = threading.Thread(target=_keep_log, args=(self._process.stdout,), daemon=True)
        self._log.start()
        return self.status()

    def signal(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send the signal named by `signal` and wait up to `seconds` for the end."""
        if self._process is not None:
            self._process.send_signal(signal.Signals[request["signal"]])
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(request["seconds"])
        return self.status()

    def status(self) -> dict[str, Any]:
        """`pid` of the running agent or null, `exit` of the ended one or null."""
        if self._process is None:
            return {"pid": None, "exit": None}
        code = self._process.poll()
        if code is not None:  # its last words are in the log, unless a child of its still talks
            self._log.join(_LOG_SECONDS)
        return {"pid": self._process.pid if code is None else None, "exit": code}


def _keep_log(stream: IO[bytes]) -> None:
    # hostfs hands data to the host when the file is closed: an open and a close for each piece.
    while data := os.read(stream.fileno(), 1 << 16):
        with open(_LOG, "ab") as log:
            log.write(data)
    stream.close()
