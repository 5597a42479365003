"""What a backend may look at, and how long it waits for it."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from backy_core.machine import probe as probe_module
from backy_core.machine.probe import MachineProbe
from backy_core.machine.signature_cache import SignatureCache
from backy_core.sdk.errors import BackendFailure
from backy_core.sdk.models import Signature
from backy_core.system import contents, kernel
from backy_core.system.clock import SystemClock
from backy_core.system.machine import LINUX, Machine
from backy_core.system.outcome import CommandFailed
from tests.core.machine.watched import Backend
from tests.fakes.parts import altered


def unknown() -> SignatureCache:
    return SignatureCache(LINUX.signatures, SystemClock())


def probe(machine: Machine = LINUX) -> MachineProbe:
    return MachineProbe(Backend("fake").backy_backend(), (), (), 5, machine, unknown())


async def test_the_probe_reads_kernel_files_only() -> None:
    version, missing = await probe().read("/proc/version", "/proc/none")
    assert version is not None and version.startswith("Linux version")
    assert missing is None
    assert "block" in await probe().listdir("/sys/class")
    assert await probe().listdir("/sys/none") == ()
    for path in (
        "/etc/shadow",
        "/proc/../etc/shadow",
        "/sys/../etc",
        "relative",
        "/proc",
        "/dev/sda",
    ):
        with pytest.raises(BackendFailure, match="may not read"):
            await probe().read(path)
        with pytest.raises(BackendFailure, match="may not read"):
            await probe().listdir(path)


async def test_a_file_of_procfs_that_waits_for_a_drive_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = threading.Event()
    waiting = altered(kernel, read_whole=lambda path: str(release.wait(10)))
    waits = replace(LINUX, kernel=waiting)
    monkeypatch.setattr(probe_module, "_ANSWER_S", 0.05)
    with pytest.raises(TimeoutError):
        await probe(waits).read("/proc/mdstat")
    release.set()
    assert await probe(waits).read("/sys/none") == ("True",)


async def test_a_superblock_on_a_drive_that_hangs_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = threading.Event()
    hanging = altered(contents, read_at=lambda *place: release.wait(10) and b"late")
    hangs = replace(LINUX, contents=hanging)
    monkeypatch.setattr(probe_module, "_ANSWER_S", 0.05)
    info = Backend("fake").backy_backend()
    stamp = Signature(device="sda", type=info.signature_types[0])
    looking = MachineProbe(info, (), (stamp,), 30, hangs, unknown())
    assert await looking.superblock(stamp, 256) is None
    release.set()
    assert await looking.superblock(stamp, 256) == b"late"


async def test_the_probe_reads_superblocks_of_the_backend_alone(tmp_path: Path) -> None:
    info = Backend("fake").backy_backend()
    (mine, *_) = info.signature_types
    # A node below /dev, reached by a name as kernels give it.
    image = tmp_path / "image"
    image.write_bytes(b"-" * 100 + b"magic" + b"+" * 8000)
    name = f"..{image}".replace("/", "!")
    known = Signature(device=name, type=mine, offset=100)
    other = Signature(device=name, type="ext4", offset=100)
    absent = Signature(device="sdzz", type=mine)
    looked = MachineProbe(info, (), (known, other, absent), 5, LINUX, unknown())
    assert await looked.superblock(known, 5) == b"magic"
    assert len(await looked.superblock(known, 1 << 30) or b"") == 4096
    assert await looked.superblock(absent, 5) is None
    for stranger in (other, known.model_copy(update={"offset": 0})):
        with pytest.raises(BackendFailure, match="may not read"):
            await looked.superblock(stranger, 5)


async def test_an_answer_that_was_cut_short_is_none() -> None:
    info = Backend("fake").backy_backend().model_copy(update={"read_commands": (("sleep",),)})
    with pytest.raises(CommandFailed, match="sleep gave no answer"):
        await MachineProbe(info, (), (), 0.2, LINUX, unknown()).run("sleep", "60")


async def test_the_probe_runs_declared_commands_only() -> None:
    outcome = await probe().run("echo", "--yes", "now")
    assert (outcome.code, outcome.stdout) == (0, "--yes now\n")
    for argv in (("echo",), ("echo", "now"), ("true",), ()):
        with pytest.raises(BackendFailure, match="may not run"):
            await probe().run(*argv)
