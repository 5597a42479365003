"""A guest seen from the host: boot it, run commands in it, pull its drives, end it.

    with Guest(tmp_path, [Drive("drive-scsi1"), Drive("drive-scsi2")]) as guest:
        guest.exec("mdadm --create /dev/md0 --run --level=1 --raid-devices=2 /dev/sda /dev/sdb")

One object stands for one state directory; the guest itself is a process of its own (`supervisor`),
so another process may talk to it by the same directory (`attach`).
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from . import channel, requirements
from .channel import Buffer, Sink
from .drives import Drive, Fault
from .errors import LabError
from .state import REPOSITORY, Running, Spec, State, start_time
from .systems import System, chosen

Command = str | Sequence[str]
"""An argument list, or a script for /bin/sh."""
_EXIT_SECONDS = 5
"""How long the process of a guest whose kernel has halted may take to exit."""


@dataclass(frozen=True)
class Result:
    """The outcome of a command; `seconds` by the host's clock."""

    rc: int
    out: str
    err: str
    seconds: float


class Guest:
    """A kernel with drives and a root shell; no agent.

    `start`, then `exec` and the rest, then `down` (orderly), `stop` (quick) or `cut` (power cut).
    Every guest ends by itself after `lifetime` seconds, and, unless detached, with this process.
    `system` is what it boots, by default what the environment asks for.
    """

    slower: ClassVar[float] = 1.0
    """How much longer than here things take; of another kind of guest more."""

    def __init__(
        self,
        state: Path,
        drives: Iterable[Drive] = (),
        *,
        memory: str = "512M",
        raid6: bool = False,
        udev: bool = True,
        lifetime: float = 600.0,
        detached: bool = False,
        system: System | None = None,
    ) -> None:
        self.state = State(state)
        suite = (system or chosen()).suite
        self.spec = Spec(tuple(drives), memory, raid6, udev, lifetime=lifetime, suite=suite)
        self._detached = detached
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._owner = -1

    def start(self, order: Sequence[str] | None = None) -> Self:
        """Boot and return when the guest takes commands.

        `order` (drives' names) changes the order in which the kernel finds the drives, and so their
        device names. Raises LabUnavailable or LabError.
        """
        requirements.check(self.spec.system)
        spec = self.spec if order is None else _reordered(self.spec, order)
        self.state.path.mkdir(parents=True, exist_ok=True)
        inner_end, self._owner = (-1, -1) if self._detached else os.pipe()
        errors = self.state.path / "supervisor.log"
        with errors.open("wb") as log:
            self._supervisor = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.kernel.lab.supervisor", str(self.state.path)),
                    *(json.dumps(spec.to_json()), str(inner_end)),
                ],
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                pass_fds=[inner_end] if inner_end >= 0 else [],
                start_new_session=True,
            )
        if inner_end >= 0:
            os.close(inner_end)
        self._await_record(self._supervisor, errors)
        return self

    @property
    def running(self) -> Running:
        """The guest's processes and port; LabError when it is not running."""
        running = self.state.running()
        if running is None:
            raise LabError(f"No guest is running with the state {self.state.path}.")
        return running

    def exec(
        self,
        command: Command,
        *,
        timeout: float = 120,
        env: dict[str, str] | None = None,
        check: bool = False,
    ) -> Result:
        """Run a command as root, collect its output; with `check`, LabError unless it exits 0."""
        out, err, began = Buffer(), Buffer(), time.monotonic()
        status = self.stream(command, out, err, timeout=timeout, env=env)
        result = Result(status, out.text(), err.text(), time.monotonic() - began)
        if check and status != 0:
            raise LabError(f"{command!r} exited with {status}: {result.err.strip()}")
        return result

    def stream(
        self,
        command: Command,
        out: Sink,
        err: Sink,
        *,
        timeout: float | None = None,
        env: dict[str, str] | None = None,
    ) -> int:
        """Run a command as root, its output handed on as it comes; returns its exit status.

        Background processes it leaves live on. After `timeout` seconds it is killed: TimeoutError.
        """
        argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        request = {"argv": argv, "env": env or {}}
        return channel.execute(self.running, request, out, err, timeout)

    def unplug(self, name: str) -> None:
        """Pull a drive, whoever uses it; returns when the kernel has dropped it."""
        channel.call(self.running, "unplug", drive=name)

    def plug(self, name: str) -> None:
        """Put a pulled drive back; returns when it is there and udev has handled it."""
        channel.call(self.running, "plug", drive=name)

    def fault(self, name: str, kind: Fault) -> None:
        """Make a drive (made with `faults=True`) misbehave, or behave again with "none"."""
        channel.call(self.running, "fault", drive=name, kind=kind)

    def cut(self) -> None:
        """Power cut: what no flush brought to a drive is lost."""
        running = self.state.running()
        if running and start_time(running.inner) == running.inner_start:
            os.kill(running.inner, signal.SIGKILL)
        self._await_end(running)

    def stop(self) -> None:
        """End quickly but without loss: sync, then power off with everything still mounted."""
        self._halt(orderly=False, seconds=0)

    def down(self, seconds: float = 30) -> None:
        """Orderly shutdown: the agent gets SIGTERM and `seconds`, file systems are unmounted."""
        self._halt(orderly=True, seconds=seconds)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cut()

    def _halt(self, *, orderly: bool, seconds: float) -> None:
        running = self.running
        console = self.state.console
        begin = console.stat().st_size
        channel.tell(running, "halt", orderly=orderly, seconds=seconds)
        if not _ended(running, seconds + 30, lambda: _halted(console, begin)):
            self.cut()
            raise LabError("The guest did not shut down in time; its power was cut.")
        if running.alive() and not _ended(running, _EXIT_SECONDS):
            self.cut()  # halted with everything written, but its process stayed
        self._await_end(running)

    def _await_record(self, supervisor: subprocess.Popen[bytes], errors: Path) -> None:
        while not self._recorded(supervisor.pid):
            if supervisor.poll() is not None:
                self._release()
                said = errors.read_text(errors="replace").strip()
                raise LabError(said or "The guest's supervisor ended without a word.")
            time.sleep(0.01)

    def _recorded(self, supervisor: int) -> bool:
        running = self.state.running()
        return running is not None and running.supervisor == supervisor

    def _await_end(self, running: Running | None) -> None:
        if running and not _ended(running, 20):
            os.kill(running.supervisor, signal.SIGKILL)
        self._release()

    def _release(self) -> None:
        if self._owner >= 0:
            os.close(self._owner)
            self._owner = -1
        if self._supervisor is not None:
            self._supervisor.wait()
            self._supervisor = None


def _reordered(spec: Spec, order: Sequence[str]) -> Spec:
    by_name = {drive.name: drive for drive in spec.drives}
    if sorted(order) != sorted(by_name):
        raise LabError(f"The order must name each of {', '.join(by_name)} once.")
    return replace(spec, drives=tuple(by_name[name] for name in order))


def _halted(console: Path, begin: int) -> bool:
    """Whether the kernel said since byte `begin` that it has halted, its devices shut down."""
    return b"reboot: " in console.read_bytes()[begin:]


def _ended(running: Running, seconds: float, or_else: Callable[[], bool] = lambda: False) -> bool:
    """Whether the guest ended, or `or_else` holds, within that many seconds."""
    deadline = time.monotonic() + seconds
    while running.alive() and not or_else():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def attach(state: Path) -> Guest:
    """The guest another process started with this state directory; LabError if none runs."""
    guest = Guest(state)
    guest.spec = replace(guest.spec, drives=tuple(guest.state.drives()))
    assert guest.running
    return guest
