"""Features in superblocks that Debian 12 does not assemble."""

from __future__ import annotations

import struct

import pytest
from backy_mdadm import hooks
from backy_mdadm.features import BLOCK_SIZE, parse
from hypothesis import given
from hypothesis import strategies as st

from backy_core.sdk.models import DriveId, PoolSpec, Requirement

from .sample_probe import SampleProbe, reports


def superblock(features: int = 1, block_size: int = 0, major: int = 1, rest: bytes = b"") -> bytes:
    """The first bytes of one of version 1, as ``struct mdp_superblock_1`` has them."""
    block = bytearray(256)
    block[:12] = struct.pack("<III", 0xA92B4EFC, major, features)
    block[224:228] = struct.pack("<I", block_size)
    block[228 : 228 + len(rest)] = rest
    return bytes(block)


@pytest.mark.parametrize(
    ("block", "requirements"),
    [
        (superblock(), ()),
        (superblock(features=0x1FFF), ()),
        (superblock(block_size=512), (BLOCK_SIZE,)),
        (superblock(features=0x2001), (Requirement(feature="an unknown md feature (0x2000)"),)),
        (
            superblock(block_size=4096, rest=b"\0\1"),
            (BLOCK_SIZE, Requirement(feature="an unknown field of the md superblock")),
        ),
        (superblock(major=0, block_size=512), ()),
        (superblock()[:255], None),
        (bytes(256), None),
        (b"", None),
    ],
)
def test_a_superblock(block: bytes, requirements: tuple[Requirement, ...] | None) -> None:
    assert parse(block) == requirements


@given(st.binary(max_size=300))
def test_whatever_is_there_the_answer_is_short(data: bytes) -> None:
    for block in (data, superblock()[:8] + data):
        assert len(parse(block) or ()) <= 3


async def test_an_array_of_linux_7_2_that_runs() -> None:
    (report,) = await reports(SampleProbe("raid1x2-clean-linux72"))
    assert report.requires == (BLOCK_SIZE,)


async def test_an_array_of_linux_6_1_that_runs() -> None:
    (report,) = await reports(SampleProbe("raid1x2-clean"))
    assert report.requires == ()


async def test_a_stripe_of_linux_7_2_is_told_by_its_drives() -> None:
    """The kernel shows a block size whether or not it is written."""
    probe = SampleProbe("raid0x2-clean")
    array = next(path for path in probe.files if path.endswith("/md/level")).rpartition("/")[0]
    probe.files[f"{array}/logical_block_size"] = "512\n"
    (report,) = await reports(probe)
    assert report.requires is None, "nothing of it can be read"
    probe.superblocks = {signature.device: superblock() for signature in probe.signatures}
    (report,) = await reports(probe)
    assert report.requires == ()
    probe.superblocks[probe.signatures[0].device] = superblock(block_size=512)
    (report,) = await reports(probe)
    assert report.requires == (BLOCK_SIZE,)


async def test_an_array_that_rests_is_told_by_its_drives() -> None:
    probe = SampleProbe("raid1x2-stopped")
    probe.superblocks = {
        signature.device: superblock(block_size=512) for signature in probe.signatures
    }
    (report,) = await reports(probe)
    assert (report.presence, report.requires) == ("stopped", (BLOCK_SIZE,))


@pytest.mark.parametrize(("level", "needed"), [("raid0", ()), ("raid1", (BLOCK_SIZE,))])
def test_a_creation_says_what_linux_may_record(level: str, needed: tuple[Requirement, ...]) -> None:
    drives = tuple(DriveId(serial=letter, size=1 << 40) for letter in "AB")
    guid = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
    pool = PoolSpec(
        guid=guid,
        label="cold",
        level=level,
        filesystem="ext4",
        fs_uuid=guid,
        mount_path="/mnt/x",
        drives=drives,
        portability="portable",
    )
    assert hooks.backy_plan_create(pool=pool, drives=drives).requires == needed
