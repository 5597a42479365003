"""The QEMU guest seen from the host: boot it, run commands and the agent in it, pull its drives.

Slower than the UML guest (no KVM: 6 s to boot, everything some ten times slower than on the host),
so it is for real OpenZFS alone. The host's files are safe: QEMU exports its root read-only.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[2]
BUILT = REPOSITORY / ".venv" / "openzfs"
"""Where ``build.sh`` leaves kernel, modules and programs."""

_KERNEL = (
    "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable no_timer_check nokaslr "
    "cryptomgr.notests random.trust_cpu=on audit=0 apparmor=0 net.ifnames=0"
)
_BOOT_S, _ANSWER_S = 240.0, 300.0


class GuestFailed(AssertionError):
    """The guest did not come up, or a command in it failed."""


class QemuGuest:
    """One guest with ``drives`` (serials), ended with the ``with`` block."""

    def __init__(self, state: Path, drives: tuple[str, ...], size: int = 256 << 20) -> None:
        self._state = state
        self._drives = drives
        self._size = size
        self._commands = 0
        self._nodes = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._state.mkdir(parents=True, exist_ok=True)
        for serial in self._drives:
            with self._image(serial).open("ab") as image:
                image.truncate(self._size)
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cut()

    def start(self) -> None:
        """Boot; returns when the guest takes commands."""
        self._job = self._state / "job"
        self._job.mkdir(exist_ok=True)
        for old in (*self._job.glob("*.cmd"), *self._job.glob("*.rc"), self._job / "up"):
            old.unlink(missing_ok=True)
        shutil.copy(HERE / "boot", self._job / "boot")
        self._commands = 0
        self.port = _free_port()
        with (self._state / "qemu.log").open("wb") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._until(lambda: (self._job / "up").exists(), _BOOT_S, "come up")

    def cut(self) -> None:
        """Power cut."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def exec(self, script: str, timeout: float = 120, *, check: bool = True) -> str:
        """Run a shell script as root; its output. Background processes it leaves live on."""
        at = self._job / str(self._commands)
        self._commands += 1
        at.with_suffix(".new").write_text(script)
        at.with_suffix(".new").rename(at.with_suffix(".cmd"))
        self._until(at.with_suffix(".rc").exists, timeout, f"finish {script!r}")
        output = at.with_suffix(".out").read_text(errors="replace")
        if check and at.with_suffix(".rc").read_text().strip() != "0":
            raise GuestFailed(f"{script!r} failed: {output}")
        return output

    # drives

    def unplug(self, serial: str) -> None:
        """Pull a drive, whoever uses it; returns when the kernel has dropped it."""
        self._qmp("device_del", id=f"v-{serial}")
        self.exec(f"while [ -e /dev/disk/by-id/virtio-{serial} ]; do sleep 0.1; done; sleep 0.5")

    def plug(self, serial: str) -> None:
        """Put a pulled drive back; returns when udev has made its link."""
        self._nodes += 1
        node = f"again{self._nodes}"
        image = {"driver": "file", "filename": str(self._image(serial))}
        self._qmp("blockdev-add", driver="raw", file=image, **{"node-name": node})
        bus = f"port{self._drives.index(serial)}"
        self._qmp(
            "device_add",
            driver="virtio-blk-pci",
            drive=node,
            id=f"v-{serial}",
            bus=bus,
            serial=serial,
        )
        self.exec(f"until [ -e /dev/disk/by-id/virtio-{serial} ]; do sleep 0.1; done; sleep 0.5")

    # the agent

    def agent(self, verb: str) -> None:
        """``start``: until the API answers; ``kill``: SIGKILL."""
        if verb == "kill":
            self.exec("kill -9 $(cat /run/agent.pid); sleep 0.2")
            return
        python = Path(sys.prefix).resolve() / "bin" / "python"
        self.exec(
            f"BACKY_HOST=0.0.0.0 setsid {python} -m backy_core serve >>/.job/agent.log 2>&1 & "
            "echo $! >/run/agent.pid"
        )
        self._until(self._answers, _ANSWER_S, "start the agent")
        self._key = self.exec("cat /etc/backy/api-key").strip()

    def request(self, method: str, path: str, body: Any = None, timeout: float = 900) -> Any:
        """One API call with the key; status and JSON. A mount can take minutes."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"X-Api-Key": self._key, "Content-Type": "application/json"}
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def log(self) -> str:
        """What the agent and the kernel said."""
        files = (self._job / "agent.log", self._state / "console")
        return "\n".join(f.read_text(errors="replace")[-4000:] for f in files if f.exists())

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}/api/v1/status", timeout=5
            ) as reply:
                return bool(reply.status == 200)
        except (OSError, ValueError):
            return False

    def _image(self, serial: str) -> Path:
        return self._state / f"{serial}.img"

    def _until(self, check: Any, seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not check():
            if self._process is None or self._process.poll() is not None:
                raise GuestFailed(f"the guest ended before it could {what}: {self.log()}")
            if time.monotonic() > deadline:
                raise GuestFailed(f"the guest did not {what} in {seconds:g} s: {self.log()}")
            time.sleep(0.05)

    def _qmp(self, command: str, **arguments: Any) -> None:
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as link:
            link.connect(str(self._state / "qmp"))
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
        for number, serial in enumerate(self._drives):
            drives += [
                *("-device", f"pcie-root-port,id=port{number},slot={number},chassis={number}"),
                *("-drive", f"file={self._image(serial)},if=none,id=d-{serial},format=raw"),
                "-device",
                f"virtio-blk-pci,drive=d-{serial},id=v-{serial},bus=port{number},serial={serial}",
            ]
        return [
            *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"),
            # Creating a zpool takes 8 s on the plainer qemu64, 2 s on max.
            *("-no-reboot", "-accel", "tcg,thread=multi", "-cpu", "max", "-M", "q35"),
            *("-m", "1024M", "-smp", "2"),
            *("-kernel", str(BUILT / "vmlinux"), "-initrd", str(BUILT / "initrd.gz")),
            *("-append", _KERNEL),
            *("-chardev", f"file,id=c0,path={self._state}/console", "-serial", "chardev:c0"),
            *("-qmp", f"unix:{self._state}/qmp,server=on,wait=off"),
            *("-netdev", f"user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:5151"),
            *("-device", "virtio-net-pci,netdev=n0"),
            *share("root", Path("/"), True),
            *share("zfs", BUILT, True),
            *share("job", self._job, False),
            *drives,
        ]


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
