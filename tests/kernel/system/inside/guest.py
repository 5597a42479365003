"""What the tests inside the guest share: its drives, its commands, what it mounts and starts."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from backy_core.system import blocks
from backy_core.system.blocks import BlockDevice

UUID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"


MOUNT = "/mnt/x"


def sh(script: str) -> str:
    done = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{script}: {done.stdout}{done.stderr}"
    return done.stdout


def settle() -> None:
    sh("udevadm settle --timeout=20")


def stop_arrays() -> None:
    """udev may bring one back right after it was stopped, or hold it for a moment."""
    for _ in range(20):
        running = [path.name for path in Path("/sys/block").glob("md*")]
        if not running:
            return
        for name in running:
            subprocess.run(["mdadm", "--stop", f"/dev/{name}"], capture_output=True, check=False)
        time.sleep(0.2)
    raise AssertionError(f"still there: {running}")


def drives() -> list[BlockDevice]:
    found = [d for d in blocks.read_block_devices() if (d.serial or "").startswith("drive-")]
    assert len(found) == 4
    return found


def signed(node: str) -> list[str]:
    """Output of the system's own wipefs, independent of the code under test."""
    return [row["type"] for row in json.loads(sh(f"wipefs -nJ {node}"))["signatures"]]


async def until(condition: Callable[[], object], what: str, within_s: float = 15) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        await asyncio.sleep(0.05)


@contextmanager
def mounted(filesystem: str = "ext4") -> Iterator[BlockDevice]:
    drive = drives()[0]
    force = {"ext4": "-F -q", "btrfs": "-f -q", "xfs": "-f -q"}[filesystem]
    sh(f"mkfs.{filesystem} {force} {drive.path}; mkdir -p {MOUNT}; mount {drive.path} {MOUNT}")
    yield drive


@contextmanager
def process(*argv: str, cwd: str = "/") -> Iterator[int]:
    child = subprocess.Popen(argv, cwd=cwd, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    yield child.pid
    child.kill()
    child.wait()


def script(text: str, cwd: str = "/") -> AbstractContextManager[int]:
    """A Python process that runs ``text`` and then waits to be killed."""
    code = f"import mmap, os, time\n{text}\nprint('ready', flush=True)\ntime.sleep(600)"
    return process(sys.executable, "-c", code, cwd=cwd)


def mirror(first: str, second: str) -> str:
    sh(
        f"mdadm --create /dev/md/test --run --uuid={UUID} --name=test --homehost=any "
        f"--metadata=1.2 --assume-clean --level=1 --raid-devices=2 {first} {second}"
    )
    settle()
    return Path("/dev/md/test").resolve().name


@contextmanager
def unplugged(drive: BlockDevice) -> Iterator[None]:
    """As the lab does it: the backend below the drive's LUN is unlinked and linked again."""
    lun = Path(f"/sys/block/{drive.name}/device").resolve().name.rpartition(":")[2]
    port = next(Path("/sys/kernel/config/target/loopback").glob("naa.*/tpgt_0/lun"))
    link = port / f"lun_{lun}" / "drive"
    backend = link.resolve()
    link.unlink()
    yield
    link.symlink_to(backend)


async def in_thread(text: str) -> None:
    await asyncio.to_thread(sh, text)
