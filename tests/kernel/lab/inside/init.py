"""First process of the guest: file systems, modules, drives, udev, then the command server.

The root is an overlay: the host's files below (hostfs, read-only by the host's doing, see
`confine.sh`), memory above. So the guest may change anything and every boot starts afresh. What
must last lies in the state directory: drive images, and `agent.img`.

`agent.img` is ext4 on a loop device and holds /var/lib/backy, /etc/backy and /mnt/backy. A plain
hostfs directory would be simpler but lies about power cuts: hostfs hands names (create, rename) to
the host at once and data at close, so a missing fsync would go unnoticed.
"""

import json
import os
import subprocess
import sys
import time
from typing import Any

from . import loops, network
from .machine import (
    BIND,
    MOVE,
    REC,
    SHARED,
    load_module,
    mount,
    pivot_root,
    power_off,
    read,
    unmount,
    write,
)

PERSISTENT = {"state": "/var/lib/backy", "settings": "/etc/backy", "pools": "/mnt/backy"}
"""Directories of `agent.img`, and where the guest shows them."""

_RULES = "/etc/udev/rules.d/59-lab-drives.rules"
_UDEVD_READY = "/run/udevd-ready"
_UDEVD_SECONDS = 60
_TOOLS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def main() -> None:
    """Boot, fork the server, then reap: what the server's commands leave behind ends up here."""
    try:
        spec = _boot()
        server = os.fork()
        if server == 0:
            _serve(spec)
    except BaseException as error:  # the console is all there is to say it on
        print(f"lab: boot failed: {error!r}", flush=True)
        power_off()
    while True:
        try:
            os.wait()
        except ChildProcessError:
            time.sleep(1)


def _boot() -> dict[str, Any]:
    mount("proc", "/proc", "proc")
    spec: dict[str, Any] = json.loads(read("/srv/lab/boot.json"))
    _trace(spec, "init")
    _overlay(spec)
    for module in spec["modules"]:
        load_module(module)
    _trace(spec, "modules")
    _directories(spec)
    _identity(spec)
    network.up("lo")
    network.up("vec0", spec["address"])
    if spec["persistent"]:
        _agent_image()
    # As systemd leaves it; else a mount made in the guest would differ from one on a real machine.
    mount("none", "/", "", REC | SHARED)
    _trace(spec, "file systems")
    return spec


def _overlay(spec: dict[str, Any]) -> None:
    load_module(spec["overlay_module"])
    mount("tmpfs", "/srv/overlay", "tmpfs", 0, "size=75%,mode=755")
    for name in ("upper", "work", "root"):
        os.mkdir(f"/srv/overlay/{name}")
    layers = "lowerdir=/,upperdir=/srv/overlay/upper,workdir=/srv/overlay/work"
    mount("overlay", "/srv/overlay/root", "overlay", 0, layers)
    os.chdir("/srv/overlay/root")
    mount("/dev", "dev", "", MOVE)
    mount("/proc", "proc", "", MOVE)
    mount("sysfs", "sys", "sysfs")
    mount("lab", ".lab", "hostfs", 0, "/srv/lab")
    os.mkdir(".old")
    pivot_root(".", ".old")
    os.chroot(".")
    os.chdir("/")
    unmount("/.old", lazy=True)
    os.rmdir("/.old")


def _directories(spec: dict[str, Any]) -> None:
    mount("run", "/run", "tmpfs", 0, "mode=755")
    mount("devpts", "/dev/pts", "devpts", 0, "ptmxmode=666")
    mount("shm", "/dev/shm", "tmpfs", 0, "mode=1777")
    os.makedirs("/run/lock", exist_ok=True)
    for path, source in spec["exposed"].items():
        mount("host", path, "hostfs", 0, source)
    if os.path.isdir("/sys/kernel/config"):
        mount("configfs", "/sys/kernel/config", "configfs")


def _identity(spec: dict[str, Any]) -> None:
    import socket

    socket.sethostname("lab")
    write("/etc/hostname", "lab\n")
    write("/etc/fstab", "")
    modules = f"/lib/modules/{os.uname().release}"
    if not os.path.exists(modules):
        os.makedirs("/lib/modules", exist_ok=True)
        os.symlink(spec["modules_directory"], modules)


def _agent_image() -> None:
    mount(loops.attach("/.lab/agent.img"), "/.persistent", "ext4")
    for name, path in PERSISTENT.items():
        kept = f"/.persistent/{name}"
        os.makedirs(kept, exist_ok=True)
        mount(kept, path, "", BIND)
    unmount("/.persistent", lazy=True)
    os.rmdir("/.persistent")


def _serve(spec: dict[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(PATH=_TOOLS, HOME="/root", LANG="C.UTF-8")
    from .scsi import Shelf
    from .server import Server

    scsi = [drive for drive in spec["drives"] if drive["bus"] == "scsi"]
    shelf = Shelf() if scsi else None
    for drive in scsi:
        assert shelf is not None
        shelf.add(drive)
    _trace(spec, "drives")
    if spec["udev"]:
        _udev(spec)
    _trace(spec, "udev")
    Server(shelf, spec).run()
    sys.exit(0)


def _udev(spec: dict[str, Any]) -> None:
    os.makedirs(os.path.dirname(_RULES), exist_ok=True)
    write(_RULES, spec["udev_rules"])
    _start_udevd()
    for name in os.listdir("/sys/class/block"):
        write(f"/sys/class/block/{name}/uevent", "add")
    subprocess.run(["udevadm", "settle"], check=False)


def _start_udevd() -> None:
    """Return when it listens to the kernel, for earlier events are lost.

    With --daemon, udev 262 returns before that, and a ping may come too early for its socket.
    """
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifications:
        notifications.bind(_UDEVD_READY)
        notifications.settimeout(_UDEVD_SECONDS)
        subprocess.Popen(
            ["/lib/systemd/systemd-udevd"],
            env={**os.environ, "NOTIFY_SOCKET": _UDEVD_READY},
            start_new_session=True,
        )
        while b"READY=1" not in notifications.recv(1 << 12).splitlines():
            pass
    os.unlink(_UDEVD_READY)


def _trace(spec: dict[str, Any], what: str) -> None:
    if spec.get("trace"):
        print(f"lab: {time.clock_gettime(time.CLOCK_BOOTTIME):.2f} {what}", flush=True)
