"""What is on the test machine, looked at without the agent's code where a second opinion counts."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from backy_core.system import blocks

_APPEARS_S = 15.0


def names() -> dict[str, str]:
    """Kernel names of whole disks by serial, now."""
    found = blocks.read_block_devices()
    return {device.serial: device.name for device in found if device.serial and not device.parents}


def checksum(serial: str) -> str:
    """Of every byte of the drive."""
    digest = hashlib.sha256()
    with Path(f"/dev/{names()[serial]}").open("rb", buffering=0) as drive:
        while part := drive.read(1 << 22):
            digest.update(part)
    return digest.hexdigest()


def check_clean(serials: Iterable[str]) -> None:
    """Each drive is blank by wipefs, held by nothing and mounted nowhere."""
    settle()
    now = names()
    mounted = Path("/proc/self/mounts").read_text()
    for serial in serials:
        assert serial in now, f"drive {serial} is not connected"
        name = now[serial]
        found = signatures(name)
        assert not found, f"{name} ({serial}) still bears {found}"
        held = sorted(each.name for each in Path(f"/sys/block/{name}/holders").iterdir())
        assert not held, f"{name} ({serial}) is held by {held}"
        assert f"/dev/{name}" not in mounted.split(), f"{name} ({serial}) is mounted"
        os.close(os.open(f"/dev/{name}", os.O_RDONLY | os.O_EXCL))


def signatures(name: str) -> list[str]:
    """What wipefs sees on a disk."""
    seen = run("wipefs", "--no-act", "--json", f"/dev/{name}")
    return [row["type"] for row in json.loads(seen)["signatures"]] if seen.strip() else []


def settle() -> None:
    """Let udev finish what it has begun."""
    run("udevadm", "settle", "--timeout=10")


def run(*argv: str) -> str:
    """A program's output, whatever it came to."""
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
    )
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


def await_that(check: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _APPEARS_S
    while not check():
        assert time.monotonic() < deadline, f"in {_APPEARS_S:g} s it did not happen that {what}"
        time.sleep(0.05)
