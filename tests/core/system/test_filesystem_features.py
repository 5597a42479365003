"""Feature words in superblocks, by what the real programs make, and by what strangers write."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backy_core.sdk.models import Requirement
from backy_core.system import filesystem_features
from backy_core.system.filesystem_features import parse, read
from backy_core.system.raw_reads import read_at

MIB = 1 << 20
MADE = {
    "ext4": ("mkfs.ext4", "-qF", "-b", "4096", "-O", "orphan_file,metadata_csum_seed"),
    "xfs": ("mkfs.xfs", "-q", "-f", "-i", "nrext64=1"),
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
}
INCOMPAT = {"ext4": (1024, 0x60), "xfs": (0, 216), "btrfs": (65536, 0xBC)}
START = {name: start for name, (start, _) in INCOMPAT.items()}


@pytest.fixture(scope="module", params=MADE)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A filesystem as Debian 12's tools make it, in a file of its name."""
    image: Path = tmp_path_factory.mktemp("made") / request.param
    with image.open("wb") as file:
        file.truncate(320 * MIB)
    search = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"}
    subprocess.run([*MADE[request.param], image], env=search, check=True, capture_output=True)
    return image


def changed(image: Path, offset: int, value: bytes) -> tuple[Requirement, ...] | None:
    """The result with these bytes in a copy of the superblock."""
    start = START[image.name]
    block = bytearray(read_at(str(image), start, 4096))
    block[offset : offset + len(value)] = value
    return parse(bytes(block), image.name)


def test_what_debian_12_makes_is_what_it_opens(made: Path) -> None:
    assert read(str(made), made.name) == ()


def test_a_feature_that_nobody_knows_is_told_by_its_bit(made: Path) -> None:
    _, offset = INCOMPAT[made.name]
    order = filesystem_features._LAYOUTS[made.name].order
    size = 8 if made.name == "btrfs" else 4
    found = changed(made, offset, (1 << 30).to_bytes(size, order))
    assert found == (Requirement(feature="an unknown feature (incompat 0x40000000)"),)


def test_xfs_of_mkfs_7_2(made: Path) -> None:
    """Its defaults, seen with xfsprogs 7.2: incompat 0xeb. Linux 6.1 refuses 0xc0 of it."""
    if made.name != "xfs":
        return
    found = changed(made, 216, (0xEB).to_bytes(4, "big"))
    assert found is not None
    assert [(each.feature, each.kernel) for each in found] == [
        ("XFS exchange range", "6.10"),
        ("XFS parent pointers", "6.10"),
    ]
    # Before version 5 there was no such word.
    old = bytearray(read_at(str(made), 0, 4096))
    old[101] = old[101] & 0xF0 | 4
    old[216:220] = b"\xff" * 4
    assert parse(bytes(old), "xfs") == ()


def test_another_filesystem_says_nothing(made: Path) -> None:
    others = [name for name in MADE if name != made.name]
    assert [read(str(made), other) for other in (*others, "vfat")] == [None, None, None]


@given(data=st.binary(max_size=4096), name=st.sampled_from(sorted(MADE)))
def test_whatever_is_there_the_answer_is_short(data: bytes, name: str) -> None:
    layout = filesystem_features._LAYOUTS[name]
    block = bytearray(data)
    block[layout.magic_offset : layout.magic_offset + len(layout.magic)] = layout.magic
    for text in (data, bytes(block)):
        found = parse(text, name)
        assert found is None or len(found) <= 130


def test_a_file_that_ends_early_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"XFSB")
    assert read(str(tmp_path / "short"), "xfs") is None
    with pytest.raises(OSError):
        read(str(tmp_path / "none"), "xfs")
