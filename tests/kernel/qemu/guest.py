"""The QEMU guest seen from the host: boot it, run commands and the agent in it, pull its drives.

Slower than the UML guest (no KVM: 6 s to boot, everything some ten times slower than on the host),
so it is for real OpenZFS alone. It is always a Debian suite, with that suite's stock kernel, under
which the OpenZFS that `build.sh` makes is laid. QEMU exports all of it read-only.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..lab.agent import Verb, agent_command, compile_sources
from ..lab.drives import Drive, Fault
from ..lab.guest import Result
from ..lab.state import REPOSITORY, Spec, State
from ..lab.systems import System, chosen
from ..lab.waiting import GuestFailed, wait_until

HERE = Path(__file__).parent
ASKED = os.environ.get("BACKY_TEST_OPENZFS") == "1"
"""Whether ZFS is to be tested as OpenZFS, of the suite that the tests run on."""

_KERNEL = (
    "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable no_timer_check nokaslr "
    "cryptomgr.notests random.trust_cpu=on audit=0 apparmor=0 net.ifnames=0"
)
_BOOT_S, _ANSWER_S = 600.0, 900.0


def built(system: System) -> Path:
    """The directory in which `build.sh` prepares a suite; it makes `ready` at its end."""
    return Path(sys.prefix).resolve() / "openzfs" / system.suite


class QemuGuest:
    """One guest with the agent, used as `lab.agent.AgentGuest` is, drives and power cuts included.

    What the agent keeps lies on the host. Drives cannot be made to fail.
    """

    slower = 5.0

    def __init__(
        self,
        state: Path,
        drives: Iterable[Drive],
        *,
        argv: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        memory: str = "1024M",
        lifetime: float = 3600.0,
        system: System | None = None,
    ) -> None:
        self.state = State(state)
        suite = (system or chosen()).suite
        self.spec = Spec(tuple(drives), memory, lifetime=lifetime, suite=suite)
        self._argv = list(argv) if argv else agent_command(self.spec.system)
        self._env = dict(env or {})
        self._job = self.state.path / "job"
        self._commands = 0
        self._nodes = 0
        self._ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._key = ""

    def start(self, order: Sequence[str] | None = None) -> Self:
        """Boot, with the drives found in this order; returns when the agent answers."""
        names = order or [drive.name for drive in self.spec.drives]
        self._ports = {name: number for number, name in enumerate(names)}
        for folder in (self._job / "var", self._job / "etc", self.state.path / "drives"):
            folder.mkdir(parents=True, exist_ok=True)
        for drive in self.spec.drives:
            with self._image(drive.name).open("ab") as image:
                image.truncate(drive.size)
        for old in (*self._job.glob("*.cmd"), *self._job.glob("*.rc"), self._job / "up"):
            old.unlink(missing_ok=True)
        shutil.copy(HERE / "boot", self._job / "boot")
        compile_sources(self.spec.system)
        self._commands = 0
        self._port = _free_port()
        with (self.state.path / "qemu.log").open("wb") as log:
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        self._until((self._job / "up").exists, _BOOT_S, "come up")
        self.agent("start")
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cut()

    @property
    def url(self) -> str:
        """Base of the API's addresses as seen from the host."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def api_key(self) -> str:
        """The key the agent made at its first start."""
        if not self._key:
            self._key = (self._job / "etc" / "api-key").read_text().strip()
        return self._key

    def cut(self) -> None:
        """Power cut."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def down(self, seconds: float = 30) -> None:
        """As an orderly shutdown leaves things: the agent ended, file systems unmounted."""
        self.agent("stop")
        self.exec("umount --all --types zfs; sync", timeout=seconds * self.slower, check=True)
        self.cut()

    def exec(self, command: str, *, timeout: float = 120, check: bool = False) -> Result:
        """Run a shell script as root. Background processes it leaves live on."""
        began = time.monotonic()
        at = self._job / str(self._commands)
        self._commands += 1
        at.with_suffix(".new").write_text(command)
        at.with_suffix(".new").rename(at.with_suffix(".cmd"))
        self._until(at.with_suffix(".rc").exists, timeout * self.slower, f"finish {command!r}")
        out, err = (at.with_suffix(end).read_text(errors="replace") for end in (".out", ".err"))
        result = Result(int(at.with_suffix(".rc").read_text()), out, err, time.monotonic() - began)
        if check and result.rc != 0:
            raise GuestFailed(f"{command!r} exited with {result.rc}: {err.strip()}")
        return result

    # drives

    def unplug(self, name: str) -> None:
        """Pull a drive, whoever uses it; returns when the kernel has dropped it."""
        self._qmp("device_del", id=f"v-{name}")
        link = f"/dev/disk/by-id/virtio-{self._drive(name).serial}"
        self.exec(f"while [ -e {link} ]; do sleep 0.1; done", check=True)

    def plug(self, name: str) -> None:
        """Put a pulled drive back; returns when udev has handled it."""
        self._nodes += 1
        node = f"again{self._nodes}"
        image = {"driver": "file", "filename": str(self._image(name))}
        self._qmp("blockdev-add", driver="raw", file=image, **{"node-name": node})
        serial = self._drive(name).serial
        self._qmp(
            "device_add",
            driver="virtio-blk-pci",
            drive=node,
            id=f"v-{name}",
            bus=f"port{self._ports[name]}",
            serial=serial,
        )
        link = f"/dev/disk/by-id/virtio-{serial}"
        self.exec(f"until [ -e {link} ]; do sleep 0.1; done; udevadm settle", check=True)

    def fault(self, name: str, kind: Fault) -> None:
        """Refused: nothing lies below these drives."""
        raise GuestFailed(f"drive {name} cannot be given the fault {kind}")

    # the agent

    def agent(self, verb: Verb) -> None:
        """start: until the API answers. stop: SIGTERM, kill: SIGKILL, until the process is gone."""
        if verb == "start":
            env = {"BACKY_HOST": "0.0.0.0", **self._env}
            settings = shlex.join(f"{name}={value}" for name, value in env.items())
            self.exec(
                f"setsid env {settings} {shlex.join(self._argv)} >>/.job/agent.log 2>&1 &"
                " echo $! >/run/agent.pid",
                check=True,
            )
            self._await_agent()
            return
        number = {"stop": "TERM", "kill": "KILL"}[verb]
        gone = "while kill -0 $pid 2>/dev/null; do sleep 0.1; done"
        self.exec(f"pid=$(cat /run/agent.pid); kill -{number} $pid; {gone}")

    def log(self) -> str:
        """Messages of the agent and the kernel."""
        files = (self._job / "agent.log", self.state.console)
        return "\n".join(f.read_text(errors="replace")[-4000:] for f in files if f.exists())

    def _await_agent(self) -> None:
        deadline = time.monotonic() + _ANSWER_S
        while not self._answers():
            if self.exec("kill -0 $(cat /run/agent.pid)").rc != 0:
                raise GuestFailed(f"the agent ended at its start: {self.log()}")
            if time.monotonic() > deadline:
                raise GuestFailed(f"the agent does not answer: {self.log()}")

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/status", timeout=5) as reply:
                return bool(reply.status == 200)
        except (OSError, ValueError):
            return False

    def _drive(self, name: str) -> Drive:
        return next(drive for drive in self.spec.drives if drive.name == name)

    def _image(self, name: str) -> Path:
        return self.state.path / "drives" / self._drive(name).image

    def _until(self, check: Callable[[], bool], seconds: float, what: str) -> None:
        wait_until(check, self._process, seconds, what, self.log)

    def _qmp(self, command: str, **arguments: Any) -> None:
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as link:
            link.connect(str(self.state.path / "qmp"))
            stream = link.makefile("rw")
            stream.readline()  # the greeting
            for each in (
                {"execute": "qmp_capabilities"},
                {"execute": command, "arguments": arguments},
            ):
                stream.write(json.dumps(each) + "\n")
                stream.flush()
                while "return" not in (answer := json.loads(stream.readline())):
                    if "error" in answer:
                        raise GuestFailed(f"{command}: {answer['error']['desc']}")

    def _command(self) -> list[str]:
        def share(tag: str, path: Path, readonly: bool) -> tuple[str, ...]:
            options = ",readonly=on" if readonly else ""
            return (
                *(
                    "-fsdev",
                    f"local,id={tag},path={path},security_model=none,multidevs=remap{options}",
                ),
                *("-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"),
            )

        drives: list[str] = []
        for name, number in self._ports.items():
            serial = self._drive(name).serial
            drives += [
                *("-device", f"pcie-root-port,id=port{number},slot={number},chassis={number}"),
                *("-drive", f"file={self._image(name)},if=none,id=d-{name},format=raw"),
                "-device",
                f"virtio-blk-pci,drive=d-{name},id=v-{name},bus=port{number},serial={serial}",
            ]
        system, own = self.spec.system, built(self.spec.system)
        return [
            # It ends with this process.
            *(
                "setpriv",
                "--pdeathsig",
                "KILL",
                "qemu-system-x86_64",
                "-nodefaults",
                "-no-user-config",
                "-display",
                "none",
            ),
            # Creating a zpool takes 8 s on the plainer qemu64, 2 s on max.
            *("-no-reboot", "-accel", "tcg,thread=multi", "-cpu", "max", "-M", "q35"),
            *("-m", self.spec.memory, "-smp", "2"),
            *("-kernel", str(own / "vmlinux"), "-initrd", str(own / "initrd.gz")),
            *("-append", f"{_KERNEL} repository={REPOSITORY}"),
            *("-chardev", f"file,id=c0,path={self.state.console}", "-serial", "chardev:c0"),
            *("-qmp", f"unix:{self.state.path}/qmp,server=on,wait=off"),
            *("-netdev", f"user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:{self._port}-:5151"),
            *("-device", "virtio-net-pci,netdev=n0"),
            *share("root", system.root, True),
            *share("zfs", own, True),
            *share("repository", REPOSITORY, True),
            *share("job", self._job, False),
            *drives,
        ]


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
