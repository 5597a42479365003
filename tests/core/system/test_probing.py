"""Probing with libblkid: what wipefs finds, and never taking silence for blank."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backy_core.sdk.models import Signature
from backy_core.system import blkid, probing
from backy_core.system.blkid import BlkidFailed, read_signatures
from backy_core.system.probing import ProbeFailed, probe, probe_each

MIB = 1 << 20
UUID = "0d6c9f64-1111-4222-8333-94f1c0f3a001"


def sh(script: str, image: Path) -> None:
    environment = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin", "IMAGE": str(image)}
    subprocess.run(["sh", "-ec", script], env=environment, check=True, capture_output=True)


EXT4 = f"mkfs.ext4 -qF -L shelf -U {UUID} $IMAGE"
GPT = "printf 'label: gpt\\n,10M\\n' | sfdisk -q --wipe never $IMAGE"
BREAK = "printf XX | dd of=$IMAGE bs=1 seek={} conv=notrunc status=none"
ERASE = "dd if=/dev/zero of=$IMAGE bs=512 count={} conv=notrunc status=none"
IMAGES = {
    "blank": (":", []),
    "ext4": (EXT4, ["ext4"]),
    "ext4, bad checksum": (f"{EXT4}; {BREAK.format(1100)}", ["ext4"]),
    "btrfs": ("mkfs.btrfs -q $IMAGE", ["btrfs"]),
    "xfs": ("mkfs.xfs -q $IMAGE", ["xfs"]),
    "swap": ("mkswap -q $IMAGE || mkswap $IMAGE", ["swap"]),
    "dos": ("echo , | sfdisk -q $IMAGE", ["dos"]),
    "gpt": (GPT, ["PMBR", "gpt", "gpt"]),
    "gpt, bad head": (f"{GPT}; {BREAK.format(560)}", ["PMBR", "gpt"]),
    "gpt, no PMBR": (f"{GPT}; {ERASE.format(1)}", ["gpt", "gpt"]),
    "gpt, only the backup": (f"{GPT}; {ERASE.format(34)}", ["gpt"]),
    "a filesystem under a partition table": (f"{EXT4}; {GPT}", ["PMBR", "gpt", "gpt"]),
    "a filesystem over a partition table": (f"{GPT}; {EXT4}", ["ext4"]),
    "two filesystems": ("mkfs.btrfs -q $IMAGE; mkswap $IMAGE", ["swap"]),
}


@pytest.mark.parametrize("name", IMAGES)
def test_it_finds_what_wipefs_finds(name: str, tmp_path: Path) -> None:
    script, types = IMAGES[name]
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(320 * MIB)
    sh(script, image)
    found = read_signatures(str(image), "sdx")
    assert _comparable(found) == _said_by_wipefs(image)
    assert set(types) <= {signature.type for signature in found}
    assert all(signature.device == "sdx" for signature in found)
    for only in ("ext4", "btrfs", "swap", "gpt"):
        # A partition table is no superblock.
        superblocks = tuple(each for each in found if each.type == only != "gpt")
        assert read_signatures(str(image), "sdx", only) == superblocks


def _comparable(found: tuple[Signature, ...]) -> list[tuple[object, ...]]:
    return sorted((s.offset, s.type, s.uuid or "", s.label or "") for s in found)


def _said_by_wipefs(image: Path) -> list[tuple[object, ...]]:
    command = ["wipefs", "--no-act", "--json", "--output", "OFFSET,TYPE,UUID,LABEL"]
    said = subprocess.run([*command, image], capture_output=True, check=True)
    rows = json.loads(said.stdout.decode(errors="replace"))["signatures"]
    return sorted(
        (int(row["offset"], 16), row["type"], row["uuid"] or "", row["label"] or "") for row in rows
    )


def test_fields(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(8 * MIB))
    sh(EXT4, image)
    (found,) = read_signatures(str(image), "md127")
    assert found == Signature(
        device="md127", type="ext4", uuid=UUID, label="shelf", offset=1080, block_size=1024
    )


@given(noise=st.binary(max_size=64), at=st.integers(0, 8192))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_is_read_or_refused(noise: bytes, at: int, tmp_path: Path) -> None:
    image, whole = tmp_path / "image", tmp_path / "whole"
    if not whole.exists():
        whole.write_bytes(bytes(MIB))
        sh(EXT4, whole)
    image.write_bytes(whole.read_bytes())
    with image.open("r+b") as file:
        file.seek(at)
        file.write(noise)
    assert _places(_comparable(read_signatures(str(image), "sdx"))) == _places(
        _said_by_wipefs(image)
    )


def _places(found: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Offset and type: wipefs's JSON does not keep broken text."""
    return [row[:2] for row in found]


def test_what_cannot_be_opened_is_not_blank(tmp_path: Path) -> None:
    with pytest.raises(BlkidFailed, match="No such file"):
        read_signatures(str(tmp_path / "nothing"), "nothing")
    with pytest.raises(BlkidFailed, match="cannot be probed"):
        read_signatures(str(tmp_path), "directory")


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Make every probe of the library give one answer."""

    class Library:
        def __getattr__(self, name: str) -> Callable[..., int]:
            return lambda *_: {"blkid_do_probe": self.answer, "blkid_new_probe": 1}.get(name, 0)

        answer = 0

    def install(answer: int) -> None:
        Library.answer = answer
        monkeypatch.setattr(blkid, "_library", Library)

    return install


def test_an_error_while_reading_is_not_blank(
    failing: Callable[[int], None], tmp_path: Path
) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(MIB))
    failing(-1)
    with pytest.raises(BlkidFailed, match="cannot be read"):
        read_signatures(str(image), "sdx")


def test_a_library_that_never_ends_is_stopped(
    failing: Callable[[int], None], tmp_path: Path
) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(MIB))
    failing(0)
    with pytest.raises(BlkidFailed, match="more than"):
        read_signatures(str(image), "sdx")


async def test_one_bad_node_does_not_hide_the_others(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_bytes(bytes(MIB))
    probed = await probe_each([str(bad), str(good)])
    assert probed.found == {"good": ()}
    assert set(probed.failed) == {"bad"} and "No such file" in probed.failed["bad"]
    with pytest.raises(ProbeFailed, match="bad"):
        await probe([str(bad), str(good)])


async def test_a_node_that_hangs_is_given_up_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    released = threading.Event()

    def look(node: str, name: str, only: str | None) -> tuple[Signature, ...]:
        if name == "hung":
            released.wait(30)
        return ()

    monkeypatch.setattr(probing, "read_signatures", look)
    monkeypatch.setattr(probing, "_PROBE_DEADLINE_S", 0.2)
    try:
        for _ in range(3):
            probed = await asyncio.wait_for(probe_each(["/nosuch/hung", "/nosuch/fine"]), 10)
            assert probed.found == {"fine": ()}
            assert "does not answer" in probed.failed["hung"]
    finally:
        released.set()


async def test_nothing_asked_nothing_found() -> None:
    assert (await probe_each([])).found == {}


async def test_probing_leaves_no_descriptor(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(MIB))
    before = os.listdir("/proc/self/fd")
    await probe([str(image)])
    assert os.listdir("/proc/self/fd") == before
