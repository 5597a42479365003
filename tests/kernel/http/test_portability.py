"""Pools that another machine made: what a portable one has on its drives, and what a machine says
that is too old for one."""

import pytest

from ..availability import thorough
from ..lab.drives import numbered
from . import fields
from .backends import MDADM, Backend
from .machine import METADATA_FILE
from .site import Pool, Site

BACKENDS = [MDADM]
DRIVES = numbered(2, 320 << 20)
ONE, TWO = (drive.serial for drive in DRIVES)

_FEATURES = {
    "ext4": "dumpe2fs -h {node} 2>/dev/null | grep 'Filesystem features'",
    "xfs": "xfs_db -r -c 'sb 0' -c 'print features_incompat' {node}",
    "btrfs": "btrfs inspect-internal dump-super {node} | grep compat_ro_flags",
}
_NEWER = {"ext4": "orphan_file", "btrfs": "0xb"}
# udev may have brought the array back, also between the two commands.
_ASSEMBLED = (
    "until mdadm --stop --scan; mdadm --assemble /dev/md99 --run {members} && udevadm settle"
    " && grep -q '^md99 : active' /proc/mdstat; do sleep 0.2; done; {then}"
)
_STOPPED = (
    "; rc=$?; udevadm settle; "
    "while [ -e /sys/block/md99 ] && ! mdadm --stop /dev/md99; do sleep 0.2; done; exit $rc"
)
_HASH = "head -c 16M {node} > /run/head && sha256sum < /run/head"
_WITH_UNKNOWN = """dd if={node} of=/run/whole bs=8K count=1 && python3 - {node} <<'END'
import sys
def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc
with open(sys.argv[1], "r+b") as device:
    block = bytearray(device.read(8192))
    if block[:4] == b"XFSB":
        block[216] |= 0x40
        length = int.from_bytes(block[102:104], "big")
        block[224:228] = bytes(4)
        block[224:228] = (crc32c(block[:length]) ^ 0xFFFFFFFF).to_bytes(4, "little")
    else:
        block[1024 + 0x63] |= 0x40
        block[2044:2048] = crc32c(block[1024:2044]).to_bytes(4, "little")
    device.seek(0)
    device.write(block)
END
"""
"""Set bit 30 of the incompatible features, as a filesystem would that has such a one."""
_STAMP = """python3 - {node} <<'END'
import struct, sys
with open(sys.argv[1], "r+b") as device:
    device.seek(4096)
    block = bytearray(device.read(4096))
    struct.pack_into("<I", block, 224, {size})
    struct.pack_into("<I", block, 216, 0)
    length = 256 + struct.unpack_from("<I", block, 220)[0] * 2
    total = sum(struct.unpack_from("<%dI" % (length // 4), block))
    total += struct.unpack_from("<H", block, length - 2)[0] if length % 4 else 0
    struct.pack_into("<I", block, 216, (total & 0xFFFFFFFF) + (total >> 32) & 0xFFFFFFFF)
    device.seek(4096)
    device.write(block)
END
"""
"""Set the block size in an array's superblock, as Linux 6.19 and newer do."""


def by_hand(site: Site, command: str) -> str:
    """The output of ``command`` on the pool's array, which is assembled and stopped for it."""
    members = f"{site.node(ONE)} {site.node(TWO)}"
    then = command.replace("{node}", "/dev/md99")
    return site.output(f"{_ASSEMBLED.format(members=members, then=then)}{_STOPPED}")


def mdadm_pool(site: Site, backend: Backend, filesystem: str) -> Pool:
    return site.made(ONE, TWO, backend=backend.name, level="raid1", filesystem=filesystem)


@pytest.mark.parametrize("filesystem", ["xfs", "ext4"] if thorough() else ["xfs"])
def test_a_portable_filesystem_and_one_with_an_unknown_feature(
    site: Site, backend: Backend, filesystem: str
) -> None:
    """The unknown one is told by its bit, and nothing is written to it."""
    pool = mdadm_pool(site, backend, filesystem)
    check_portable(pool, filesystem)
    written = pool.write()
    pool.unmount()
    before = by_hand(site, f"{_WITH_UNKNOWN}{_HASH}")

    said = site.refused("POST", f"{pool.url}/mount", {}, status=400, code="SYSTEM_ERROR")
    linux = site.output("uname -r").split("-")[0]
    assert said["error"]["message"] == (
        f"Pool {pool.detail()['label']} uses an unknown feature (incompat 0x40000000), which "
        f"neither this agent nor Linux {linux} knows"
    )
    assert pool.state() == "unmounted" and not pool.mounted()
    restored = "dd if=/run/whole of={node} bs=8K count=1 conv=notrunc,fsync"
    assert by_hand(site, f"{_HASH} && {restored}") == before
    pool.mount()
    assert pool.read() == written
    pool.delete()


@pytest.mark.thorough
def test_a_portable_btrfs(site: Site, backend: Backend) -> None:
    pool = mdadm_pool(site, backend, "btrfs")
    check_portable(pool, "btrfs")
    pool.delete()


def check_portable(pool: Pool, filesystem: str) -> None:
    """Check the features that the real mkfs left out, and the agent's reply about them."""
    site, detail = pool.site, pool.detail()
    assert detail["portability"] == "portable" and set(detail["opensOn"]) == fields.OPENS_ON
    assert detail["opensOn"]["checked"] == ["mdadm metadata", f"{filesystem} superblock"]
    assert site.metadata()[pool.guid]["opensOn"] == detail["opensOn"]
    recorded = f"/sys/block/{detail['poolId']}/md/logical_block_size"
    newer = site.run(f"test -e {recorded}").rc == 0
    assert detail["opensOn"]["kernel"] == ("6.19" if newer else "6.1")
    shown = site.output(_FEATURES[filesystem].format(node=f"/dev/{detail['poolId']}"))
    if filesystem == "xfs":
        assert int(shown.split()[-1], 16) & 0x1E0 == 0, shown
    else:
        assert _NEWER[filesystem] not in shown.split(), shown


def test_an_array_of_a_newer_linux(site: Site, backend: Backend) -> None:
    """As Linux 6.19 and newer leave its superblocks. It is told before anyone tries."""
    major, minor = map(int, site.output("uname -r").split(".")[:2])
    pool = mdadm_pool(site, backend, "ext4")
    written = pool.write()
    pool.unmount()
    if (major, minor) >= (6, 19):
        pool.delete()
        pytest.skip("this Linux opens it")
    for serial in (ONE, TWO):
        site.output(_STAMP.format(node=site.node(serial), size=512))
    site.output("udevadm settle")
    told = "uses md logical block size; that needs Linux 6.19 or newer, and this machine runs Linux"
    before = [site.output(_HASH.format(node=site.node(serial))) for serial in (ONE, TWO)]
    said = site.refused("POST", f"{pool.url}/mount", {}, status=400, code="SYSTEM_ERROR")
    assert told in said["error"]["message"]
    assert before == [site.output(_HASH.format(node=site.node(serial))) for serial in (ONE, TWO)]

    site.guest.agent("kill")
    site.output(f"rm {METADATA_FILE}*")
    site.guest.agent("start")
    (found,) = site.get("/pools/importable")
    assert told in found["cannotOpenBecause"] and found["opensOn"]["kernel"] == "6.19"
    site.done("POST", f"{pool.url}/import", {})
    for serial in (ONE, TWO):
        site.output(_STAMP.format(node=site.node(serial), size=0))
    pool.mount()
    assert pool.read() == written and pool.detail()["opensOn"]["kernel"] == "6.1"
    pool.delete()
    site.output(f"rmdir {pool.path}; :")
