"""Unreadable things never count as absent: every read, with every kind of error."""

from __future__ import annotations

import builtins
import errno
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from backy_core.system import (
    blocks,
    identity,
    mounts,
    namespaces,
    probing,
    runtime_files,
    swap,
    sysfs,
)
from backy_core.system.absence import GONE, STARVED, LookFailed
from backy_core.system.blkid import read_signatures
from backy_core.system.process_holders import HeldBy

LOOKS: dict[str, Callable[[], object]] = {
    "mounts": mounts.read_mounts,
    "mounts of a process": lambda: mounts.read_mounts(os.getpid()),
    "swaps": blocks.swaps,
    "block devices": blocks.read_block_devices,
    "holders": lambda: blocks.holders("sda"),
    "partitions": lambda: blocks.partitions("sda"),
    "diskseq": lambda: blocks.diskseq("sda"),
    "boot id": blocks.boot_id,
    "attribute": lambda: sysfs.read_attribute(Path("/proc/self/comm")),
    "whole file": lambda: sysfs.read_whole(Path("/proc/mdstat")),
    "names": lambda: sysfs.names_in(Path("/sys/class/block")),
    "swap files": swap.read_swaps,
    "processes": namespaces.pids,
    "a namespace": lambda: namespaces.namespace_of(os.getpid()),
    "a process": lambda: identity.is_alive(os.getpid()),
    "what a process holds": lambda: HeldBy(("1:1",)).held_by(os.getpid()),
    "a running mdadm": lambda: runtime_files.remove_stale(None, Path("/proc/self"), Path("/proc")),
}
NEVER_GONE = ("mounts", "block devices", "holders")


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Make every open and every list of a directory fail with this error number."""

    def fail_with(number: int) -> None:
        def fail(path: object, *_: object, **__: object) -> None:
            raise OSError(number, os.strerror(number), path)

        for module, name in (
            *((os, name) for name in ("open", "listdir", "scandir", "readlink")),
            *((io, "open"), (builtins, "open")),
        ):
            monkeypatch.setattr(module, name, fail)

    return fail_with


@pytest.mark.parametrize("number", sorted({*STARVED, errno.EACCES, errno.EPERM}))
@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_look_that_cannot_be_made_fails(
    look: Callable[[], object], number: int, failing: Callable[[int], None]
) -> None:
    failing(number)
    with pytest.raises(LookFailed, match="cannot be read"):
        look()


@pytest.mark.parametrize("number", sorted(GONE))
@pytest.mark.parametrize("name", [name for name in LOOKS if name not in NEVER_GONE])
def test_what_is_gone_is_absent(name: str, number: int, failing: Callable[[int], None]) -> None:
    failing(number)
    assert not LOOKS[name]()


def test_the_agents_own_mounts_are_never_gone(failing: Callable[[int], None]) -> None:
    failing(errno.ENOENT)
    with pytest.raises(LookFailed):
        mounts.read_mounts()


async def test_a_device_is_not_in_doubt_because_the_agent_has_no_descriptors(
    failing: Callable[[int], None],
) -> None:
    failing(errno.EMFILE)
    with pytest.raises(LookFailed):
        read_signatures("/dev/sda", "sda")
    failing(errno.EIO)
    assert list((await probing.probe_each(["/dev/sda"])).failed) == ["sda"]


OUT_OF_DESCRIPTORS = """
import os, resource, sys
from tests.core.system.test_absence import LOOKS
from backy_core.system.absence import LookFailed
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
taken = []
try:
    while True:
        taken.append(os.dup(0))
except OSError:
    pass
answers = {}
for name, look in LOOKS.items():
    if name == "a namespace":  # a link is read without a descriptor
        continue
    try:
        answers[name] = look()
    except LookFailed:
        pass
for descriptor in taken:
    os.close(descriptor)
sys.exit(f"not refused: {answers}" if answers else 0)
"""


def test_out_of_descriptors_for_real() -> None:
    done = subprocess.run(
        [sys.executable, "-c", OUT_OF_DESCRIPTORS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
