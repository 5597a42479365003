"""A guest with the agent in it, its API on a port of the host's loopback."""

import contextlib
import json
import os
import shlex
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

from . import channel
from .drives import Drive, numbered
from .errors import LabError
from .guest import Guest
from .state import REPOSITORY
from .supervisor import AGENT_PORT
from .systems import System

Verb = Literal["start", "stop", "kill"]

KEY_FILE = "/etc/backy/api-key"
START_SECONDS, STOP_SECONDS = 90.0, 60.0


class AgentGuest(Guest):
    """`Guest` plus the agent; /var/lib/backy, /etc/backy and /mnt/backy last from boot to boot.

        with AgentGuest(tmp_path, drives=numbered(2)) as guest:
            httpx.get(f"{guest.url}/api/v1/pools", headers={"X-Api-Key": guest.api_key})

    `argv` replaces the agent's command (default: `agent_command`), `env` adds to its environment.
    `port` 0 chooses a free one. `prepare` is a shell script that runs after each boot, before the
    agent. `start_agent=False` boots without starting it.
    """

    def __init__(
        self,
        state: Path,
        drives: Iterable[Drive] | None = None,
        *,
        port: int = 0,
        argv: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        prepare: str = "",
        start_agent: bool = True,
        memory: str = "512M",
        raid6: bool = False,
        lifetime: float = 600.0,
        detached: bool = False,
        system: System | None = None,
    ) -> None:
        super().__init__(
            state,
            numbered(2) if drives is None else list(drives),
            memory=memory,
            raid6=raid6,
            lifetime=lifetime,
            detached=detached,
            system=system,
        )
        self.spec = replace(self.spec, persistent=True, port=port)
        self._argv = list(argv) if argv else []
        self._env = dict(env or {})
        self._prepare = prepare
        self._start_agent = start_agent
        self._api_key: str | None = None

    def start(self, order: Sequence[str] | None = None) -> Self:
        """Boot, start the agent and return when it answers."""
        compile_sources(self.spec.system)
        super().start(order)
        try:
            if self._prepare:
                self.exec(self._prepare, check=True)
            if self._start_agent:
                self.agent("start")
        except BaseException:
            self.cut()
            raise
        return self

    @property
    def url(self) -> str:
        """Base of the API's addresses as seen from the host: `http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self.running.port}"

    @property
    def api_key(self) -> str:
        """The key the agent made at its first start; empty when the agent makes none."""
        if self._api_key is None:
            self._api_key = self.exec(["cat", KEY_FILE]).out.strip()
        return self._api_key

    def agent(self, verb: Verb) -> None:
        """start: until the API answers. stop: SIGTERM, kill: SIGKILL, until the process is gone."""
        if verb == "start":
            settings = {"BACKY_HOST": "0.0.0.0", "BACKY_PORT": str(AGENT_PORT), **self._env}
            argv = self._argv or agent_command(System(self.running.suite))
            channel.call(self.running, "agent-start", argv=argv, env=settings)
            self._await_answer()
            return
        number = {"stop": "SIGTERM", "kill": "SIGKILL"}[verb]
        seconds = STOP_SECONDS
        status = channel.call(
            self.running, "agent-signal", seconds + 30, signal=number, seconds=seconds
        )
        if status["pid"] is not None:
            raise LabError(f"The agent is still running {seconds:.0f} s after {number}.")

    def agent_status(self) -> dict[str, int | None]:
        """`pid` of the running agent, `exit` of the ended one (negative: signal)."""
        status: dict[str, int | None] = channel.call(self.running, "agent-status")
        return status

    def request(self, method: str, path: str, body: Any = None, timeout: float = 60) -> Any:
        """One API call with the key; status and parsed JSON."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"X-Api-Key": self.api_key, "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def log(self) -> str:
        """Everything the agent has written, over all its starts in this state directory."""
        with contextlib.suppress(FileNotFoundError):
            return self.state.agent_log.read_text(errors="replace")
        return ""

    def _await_answer(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(self.url):
            if self.agent_status()["pid"] is None:
                raise LabError(f"The agent ended at its start: {self.log()[-2000:]}")
            if time.monotonic() > deadline:
                raise LabError(f"The agent did not answer in {START_SECONDS:.0f} s.")
            time.sleep(0.05)


def agent_command(system: System) -> list[str]:
    """`LAB_AGENT` (a command line) or the agent as that system's Python has it."""
    if given := os.environ.get("LAB_AGENT"):
        return shlex.split(given)
    return [system.python, "-m", "backy_core", "serve"]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/api/v1/status", timeout=5) as reply:
            return bool(reply.status == 200)
    except (OSError, ValueError):
        return False


def compile_sources(system: System) -> None:
    """Byte-code for the guest, which cannot write it and compiles some ten times slower."""
    folders = [str(REPOSITORY / each) for each in ("backy_core", "plugins", "tests/kernel/lab")]
    compiler = [system.python_outside, "-m", "compileall", "-qq"]
    subprocess.run([*compiler, *folders], check=False)
