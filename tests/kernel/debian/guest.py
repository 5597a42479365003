"""A fresh Debian on a drive of its own: systemd is its first process, the kernel User Mode Linux.

Commands go through a directory that both sides see; the guest's end is `commands.sh`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..lab import xstate
from ..lab.waiting import GuestFailed, wait_until

_HERE = Path(__file__).parent
_CONFINE = _HERE.parent / "lab" / "confine.sh"
_API = "http://127.0.0.1:5151/api/v1"
_DRIVE_BYTES = 256 << 20


@dataclass(frozen=True)
class Answer:
    """The reply that `curl` got in the guest."""

    status: int
    body: Any


class DebianGuest:
    """Boots a copy of what `suite.sh` made below `suite`, with drives of these serials."""

    def __init__(self, state: Path, suite: Path, serials: tuple[str, ...]) -> None:
        self.console = state / "console.log"
        self._state = state
        self._suite = suite
        self._serials = serials
        self._job = state / "job"
        self._commands = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._job.mkdir(parents=True)
        copy = ["cp", "--sparse=always", "--reflink=auto", str(suite / "image")]
        subprocess.run([*copy, str(state / "system.img")], check=True)
        shutil.copytree(suite / "packages", self._job / "packages")
        for serial in serials:
            with (state / f"{serial}.img").open("wb") as image:
                image.truncate(_DRIVE_BYTES)

    def boot(self) -> None:
        """Return when systemd has started everything that it starts."""
        for old in (*self._job.glob("*.cmd"), *self._job.glob("*.rc"), self._job / "up"):
            old.unlink(missing_ok=True)
        shutil.copy(_HERE / "commands.sh", self._job)
        self._commands = 0
        with self.console.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        self._until((self._job / "up").exists, 180, "boot")
        self.run("systemctl is-system-running --wait")

    def reboot(self) -> None:
        """In an orderly way, as a person would."""
        assert self._process is not None
        self._submit("systemctl poweroff")  # its exit status may not get out in time
        self._process.wait(180)
        self.boot()

    def cut(self) -> None:
        """Power cut."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def run(self, command: str, *, timeout: float = 300) -> tuple[int, str]:
        """Run a shell script as root; its exit status and what it said."""
        at = self._submit(command)
        self._until(at.with_suffix(".rc").exists, timeout, f"finish {command!r}")
        said = at.with_suffix(".out").read_text(errors="replace").strip()
        return int(at.with_suffix(".rc").read_text()), said

    def _submit(self, command: str) -> Path:
        """Hand over a command. Return the path of what comes of it, without a suffix."""
        at = self._job / str(self._commands)
        self._commands += 1
        at.with_suffix(".new").write_text(command)
        at.with_suffix(".new").rename(at.with_suffix(".cmd"))
        return at

    def output(self, command: str, *, timeout: float = 300) -> str:
        """The output of a command that must succeed."""
        status, said = self.run(command, timeout=timeout)
        if status != 0:
            errors = (self._job / f"{self._commands - 1}.err").read_text(errors="replace")
            raise GuestFailed(f"{command!r} exited with {status}: {said}\n{errors}")
        return said

    def call(self, method: str, path: str, body: Any = None) -> Answer:
        """One request to the agent, as the README's `curl` sends it."""
        (self._job / "body").write_text(json.dumps(body))
        data = "" if body is None else "--data @/.job/body"
        said = self.output(
            f"curl --silent --show-error --request {method} {data} "
            '--header "X-Api-Key: $(cat /etc/backy/api-key)" '
            "--header 'Content-Type: application/json' --write-out '\\n%{http_code}' "
            f"{_API}{path}"
        )
        text, _, status = said.rpartition("\n")
        return Answer(int(status), json.loads(text) if text else None)

    def _until(self, check: Callable[[], bool], seconds: float, what: str) -> None:
        wait_until(check, self._process, seconds, what, self._log)

    def _log(self) -> str:
        return self.console.read_text(errors="replace")[-4000:]

    def _command(self) -> list[str]:
        preload = ""
        if shim := xstate.library():
            shutil.copy(shim, self._state / "xstate.so")
            preload = "/srv/lab/xstate.so"
        return [
            *("setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child"),
            *("--mount", "--net", "--ipc", "--uts", "--propagation", "private"),
            *("/bin/sh", str(_CONFINE), str(self._state), str(self._suite / "root"), preload, "--"),
            *(
                "/usr/bin/linux.uml",
                "mem=1024M",
                "ubd0=/srv/lab/system.img",
                "root=/dev/ubda",
                "ro",
            ),
            *("noreboot", "panic=-1", "quiet", "selinux=0", "uml_dir=/dev/shm"),
            *("con=null", "con0=null,fd:1", "ssl=null", "initcall_blacklist=raid6_select_algo"),
            *(
                f"ubd{number}=/srv/lab/{serial}.img,,{serial}"
                for number, serial in enumerate(self._serials, 1)
            ),
        ]
