"""The state directory: what outlives a guest, and the record of the one that runs."""

import fcntl
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import kernel, wire
from .drives import Drive
from .errors import LabError
from .systems import System

REPOSITORY = Path(__file__).resolve().parents[3]
AGENT_IMAGE_BYTES = 64 << 20
_PYTHON = Path(sys.base_prefix).resolve()
_MOVED = ("/run", "/dev", "/proc", "/sys", "/srv")
"""Places where the guest mounts something of its own, or sees a memory file system."""


@dataclass(frozen=True)
class Spec:
    """How to boot. `lifetime` in seconds.

    `port` on the host's loopback leads to the agent's; None: no forwarding, 0: a free one.
    """

    drives: tuple[Drive, ...] = ()
    memory: str = "512M"
    raid6: bool = False
    udev: bool = True
    persistent: bool = False
    lifetime: float = 4 * 3600.0
    port: int | None = None
    suite: str = ""

    @property
    def system(self) -> System:
        """The booted system."""
        return System(self.suite)

    def to_json(self) -> dict[str, Any]:
        """Plain data, for the supervisor's argument."""
        return {**asdict(self), "drives": [drive.to_json() for drive in self.drives]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Spec":
        """The inverse of `to_json`."""
        drives = tuple(Drive.from_json(drive) for drive in data["drives"])
        return cls(**{**data, "drives": drives})


@dataclass(frozen=True)
class Running:
    """A running guest: two processes (with their start times, for pids are reused) and its port.

    `supervisor` owns the guest and forwards its port; `inner` is first in the guest's namespaces.
    """

    supervisor: int
    supervisor_start: int
    inner: int
    inner_start: int
    port: int | None
    suite: str = ""

    def alive(self) -> bool:
        """Whether the supervisor still runs."""
        return start_time(self.supervisor) == self.supervisor_start


class State:
    """Paths and files of one state directory."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.agent_log = self.path / "agent.log"
        self.console = self.path / kernel.CONSOLE
        self.ready = self.path / "ready"
        self._record = self.path / "guest.json"
        self._drives = self.path / "drives.json"

    def lock(self) -> int:
        """Hold the directory for one guest; the descriptor keeps the lock. LabError when taken."""
        self.path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise LabError(f"A guest is already running with the state {self.path}.") from None
        return descriptor

    def drives(self) -> list[Drive]:
        """Drives this directory was made with, empty for a new one."""
        if not self._drives.exists():
            return []
        return [Drive.from_json(drive) for drive in json.loads(self._drives.read_text())]

    def prepare(self, spec: Spec) -> None:
        """Make what is missing (images are sparse) and write down how to boot."""
        (self.path / "drives").mkdir(parents=True, exist_ok=True)
        for drive in spec.drives:
            _sparse(self.path / "drives" / drive.image, drive.size)
        self._drives.write_text(json.dumps([drive.to_json() for drive in spec.drives], indent=1))
        if spec.persistent:
            _agent_image(self.path / "agent.img")
        self.ready.unlink(missing_ok=True)
        (self.path / "boot.json").write_text(json.dumps(_boot(spec)))
        init = self.path / "init"
        repository = place_at_boot(REPOSITORY, spec.system)
        init.write_text(_INIT.format(python=_first_python(spec.system), repository=repository))
        init.chmod(0o755)

    def record(self, running: Running) -> None:
        """Publish the running guest."""
        partial = self._record.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(running)))
        partial.replace(self._record)

    def forget(self) -> None:
        """Withdraw the record."""
        self._record.unlink(missing_ok=True)

    def running(self) -> Running | None:
        """The guest that runs with this state, None if none does."""
        try:
            running = Running(**json.loads(self._record.read_text()))
        except FileNotFoundError:
            return None
        return running if running.alive() else None


def start_time(pid: int) -> int:
    """Field 22 of /proc/PID/stat, 0 for no such (or a dead) process."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if after_name[0] in "ZX" else int(after_name[19])


_INIT = """\
#!/bin/sh
exec {python} -E -s -S -c '
import sys
sys.path.insert(0, "{repository}")
from tests.kernel.lab.inside.init import main
main()'
"""


def _boot(spec: Spec) -> dict[str, Any]:
    return {
        **kernel.modules(list(spec.drives), spec.system),
        "drives": [drive.to_json() for drive in spec.drives],
        "persistent": spec.persistent,
        "udev": spec.udev,
        "udev_rules": kernel.RULES,
        "exposed": {
            str(path): place_at_boot(path, spec.system)
            for path in hidden_directories(spec.system).values()
        },
        "address": wire.ADDRESS,
        "trace": bool(os.environ.get("LAB_TRACE")),
    }


def _first_python(system: System) -> str:
    """The interpreter of the guest's first process: no virtual environment is there yet."""
    if system.suite:
        return system.python
    program = f"bin/python{sys.version_info[0]}.{sys.version_info[1]}"
    return place_at_boot(_PYTHON / program, system)


def hidden_directories(system: System) -> dict[str, Path]:
    """Directories the guest needs and its root does not show, by their name below /srv/host.

    The others must not appear there as well. From Linux 6.3 on hostfs knows a directory by its
    inode, and overlayfs fails with ESTALE when it meets the same directory under two names.
    """
    needed = {"repository": REPOSITORY, "venv": Path(sys.prefix).resolve()}
    tops = []
    if not system.suite:  # its root shows none of the host's files, and it has its own Python
        needed["python"] = _PYTHON
        tops = [Path("/")]
    hidden: dict[str, Path] = {}
    for name, path in needed.items():
        if not any(_shown(path, top) for top in (*tops, *hidden.values())):
            hidden[name] = path
    return hidden


def place_at_boot(path: Path, system: System) -> str:
    """A path of the host's, as the guest's first process sees it before the overlay is mounted."""
    for name, top in hidden_directories(system).items():
        if path.is_relative_to(top):
            return str(Path("/srv/host", name) / path.relative_to(top))
    return str(path)


def _shown(path: Path, top: Path) -> bool:
    """Whether a view of `top`, without what is mounted below it, has `path`."""
    if top == Path("/") and any(path.is_relative_to(place) for place in _MOVED):
        return False
    return path.is_relative_to(top) and path.stat().st_dev == top.stat().st_dev


def _sparse(image: Path, size: int) -> None:
    if not image.exists():
        with image.open("wb") as file:
            file.truncate(size)


def _agent_image(image: Path) -> None:
    if image.exists():
        return
    partial = image.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    _sparse(partial, AGENT_IMAGE_BYTES)
    subprocess.run(["/sbin/mkfs.ext4", "-q", "-F", str(partial)], check=True, capture_output=True)
    partial.replace(image)
