"""Drives of a stranger: what is written on them touches no other pool, and is data to people."""

import random
import struct

import pytest

from ..lab.drives import numbered
from .backends import Backend
from .site import TELL_UDEV, Site

DRIVES = numbered(4, 64 << 20)
ONE, TWO, THREE, FOUR = (drive.serial for drive in DRIVES)
ROUNDS = 12
METADATA = {"mdadm": (4096, 4400), "lvm": (512, 9000), "zfs": (16 << 10, 24 << 10)}
"""From where to where it lies on a drive."""


def blank(site: Site, *nodes: str) -> None:
    """As new, whatever was there, and whatever udev made of it."""
    site.run("for it in /sys/block/md*; do mdadm --stop /dev/${it##*/}; done")
    for node in nodes:
        site.output(
            f"dd if=/dev/zero of={node} bs=1M count=4 conv=notrunc,fsync status=none;"
            f"end=$(($(blockdev --getsize64 {node}) / 1048576 - 4));"
            f"dd if=/dev/zero of={node} bs=1M seek=$end count=4 conv=notrunc,fsync status=none"
        )
    site.output(TELL_UDEV)
    site.done("POST", "/drives/refresh")


def test_damage_by_chance_touches_nobody_else(site: Site, backend: Backend) -> None:
    healthy = site.made(ONE, TWO, **backend.options())
    kept = healthy.write()
    theirs = site.made(THREE, FOUR, **backend.options())
    theirs.unmount()
    site.done("DELETE", f"/pools/metadata/{theirs.guid}")
    chance = random.Random(backend.name)
    nodes = [site.drives()[serial]["path"] for serial in (THREE, FOUR)]
    for _ in range(ROUNDS):
        node, at = chance.choice(nodes), chance.randrange(*METADATA[backend.name])
        site.output(f"dd if=/dev/urandom of={node} bs=1 seek={at} count=8 conv=notrunc,fsync")
        site.output(TELL_UDEV)
        site.done("POST", "/drives/refresh")
        healthy.check_ready()
        assert isinstance(site.get("/pools/importable"), list)
        assert not site.drives()[ONE]["available"]
    assert healthy.read() == kept
    blank(site, *nodes)
    healthy.unmount()
    healthy.mount()
    assert healthy.read() == kept
    healthy.delete()
    healthy.check_gone()


def superblock(name: bytes) -> bytes:
    """One of md, version 1.2, of a RAID1 with one member."""
    block = bytearray(512)
    struct.pack_into("<II", block, 0, 0xA92B4EFC, 1)
    block[16:32], block[32:64] = b"\x99" * 16, name.ljust(32, b"\0")
    struct.pack_into("<QIIQII", block, 64, 1 << 30, 1, 0, 16384, 0, 1)
    struct.pack_into("<QQQ", block, 128, 2048, 16384, 8)
    block[168:184] = b"\x77" * 16
    struct.pack_into("<QQQ", block, 192, 1 << 30, 5, 2**64 - 1)
    struct.pack_into("<I", block, 220, 128)
    block[258:512] = b"\xff" * 254
    total = sum(struct.unpack("<128I", block))
    struct.pack_into("<I", block, 216, (total + (total >> 32)) & 0xFFFFFFFF)
    return bytes(block)


def written(site: Site, node: str, block: bytes) -> None:
    text = "".join(f"\\{byte:03o}" for byte in block)
    site.output(f"printf '{text}' | dd of={node} bs=4096 seek=1 conv=notrunc,fsync status=none")
    site.output(TELL_UDEV)
    site.done("POST", "/drives/refresh")


@pytest.mark.thorough("lvm", "zfs")
def test_a_name_with_line_breaks_is_data(site: Site, backend: Backend) -> None:
    """Of an array, beside pools of any backend."""
    healthy = site.made(ONE, TWO, **backend.options())
    node, other = (site.drives()[serial]["path"] for serial in (THREE, ONE))
    written(site, node, superblock(f"x\n{other}:\n\x1b[2J\u202e".encode()))
    assert "\n" + other in site.run(f"mdadm --examine {node}").out, "mdadm prints it as it is"
    for path in ("/pools", "/pools/importable", "/drives"):
        reply = site.call("GET", path)
        assert reply.status_code == 200 and not set("\n\x1b\u202e") & set(_words(reply.json()))
    log = site.guest.log()
    assert "\x1b" not in log and "\u202e" not in log
    healthy.check_ready()
    blank(site, node)
    healthy.delete()
    healthy.check_gone()


def _words(value: object) -> str:
    if isinstance(value, dict):
        return _words(list(value.values()))
    return "".join(map(_words, value)) if isinstance(value, list) else str(value)
