"""Read the test machine, without the agent's code where a second opinion counts."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from backy_core.system import blocks

_APPEARS_S = 15.0
_SETTLES_S = 10.0
_UDEV_QUEUE = Path("/run/udev/queue")


def names() -> dict[str, str]:
    """Kernel names of whole disks by serial, now."""
    devices = blocks.read_block_devices()
    return {
        device.serial: device.name for device in devices if device.serial and not device.parents
    }


def checksum(serial: str) -> str:
    """Of every byte of the drive."""
    digest = hashlib.sha256()
    with Path(f"/dev/{names()[serial]}").open("rb", buffering=0) as drive:
        while part := drive.read(1 << 22):
            digest.update(part)
    return digest.hexdigest()


def check_clean(serials: Collection[str]) -> None:
    """Each drive is blank by wipefs, held by nothing and mounted nowhere."""
    settle()
    now = names()
    lost = sorted(set(serials) - now.keys())
    assert not lost, f"drives that are not connected: {lost}"
    mounted = Path("/proc/self/mounts").read_text().split()
    signatures_found = signatures(now[serial] for serial in serials)
    assert not signatures_found, f"there still is {signatures_found}"
    for serial in serials:
        name = now[serial]
        held = sorted(path.name for path in Path(f"/sys/block/{name}/holders").iterdir())
        assert not held, f"{name} ({serial}) is held by {held}"
        assert f"/dev/{name}" not in mounted, f"{name} ({serial}) is mounted"
        os.close(os.open(f"/dev/{name}", os.O_RDONLY | os.O_EXCL))


def signatures(names: Iterable[str]) -> list[str]:
    """Signatures that wipefs finds on these disks, as ``ext4 on sda``, in one process for all."""
    nodes = [f"/dev/{name}" for name in names]
    if not nodes:  # wipefs wants one
        return []
    output = run("wipefs", "--no-act", "--json", *nodes)
    rows = json.loads(output)["signatures"] if output.strip() else []
    return [f"{row['type']} on {row['device']}" for row in rows]


def settle() -> None:
    """Let udev finish what it has begun: it keeps a file while events wait.

    Seen twice without it, for an event of a moment ago may still be on its way to udev.
    """
    quiet, deadline = 0, time.monotonic() + _SETTLES_S
    while quiet < 2 and time.monotonic() < deadline:
        quiet = 0 if _UDEV_QUEUE.exists() else quiet + 1
        time.sleep(0.02)


def run(*argv: str) -> str:
    """A program's output; fails with its words if it does."""
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, f"{argv} failed: {done.stderr}"
    return done.stdout


def take_offline(serial: str) -> None:
    """From now on every command to the drive fails, as when its electronics die."""
    Path(f"/sys/block/{names()[serial]}/device/state").write_text("offline")


def bring_online(serials: Iterable[str]) -> None:
    """Dead drives work again."""
    now = names()
    for serial in serials:
        state = Path(f"/sys/block/{now[serial]}/device/state") if serial in now else None
        if state is not None and state.exists() and state.read_text().strip() != "running":
            state.write_text("running")


def await_that(check: Callable[[], bool], goal: str) -> None:
    deadline = time.monotonic() + _APPEARS_S
    while not check():
        assert time.monotonic() < deadline, f"in {_APPEARS_S:g} s it did not happen that {goal}"
        time.sleep(0.05)
