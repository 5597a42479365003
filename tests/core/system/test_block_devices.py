"""Block devices from a sysfs and udev database made of files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backy_core.system.block_devices import BlockDevice, assemble
from backy_core.system.blocks import links_by_device
from backy_core.system.loops import Backing
from backy_core.system.mountinfo import MountEntry
from backy_core.system.sysfs import RawDevice, Roots, natural, read_raw_devices, unescape_hex
from backy_core.system.text import MAX_NAME


class Tree:
    """Writes what the kernel and udev would show."""

    def __init__(self, root: Path) -> None:
        self.roots = Roots(root / "sys", root / "dev", root / "udev")
        (root / "sys/class/block").mkdir(parents=True)
        (root / "dev/disk/by-id").mkdir(parents=True)
        (root / "udev").mkdir()
        self._minor = 0

    def add(
        self,
        name: str,
        *,
        within: str = "pci0/block",
        size: int = 2048,
        uevent: str = "",
        udev: str = "",
        slaves: tuple[str, ...] = (),
        **attributes: str,
    ) -> Path:
        self._minor += 1
        directory = self.roots.sys / "devices" / within / name
        directory.mkdir(parents=True)
        (self.roots.sys / "class/block" / name).symlink_to(directory)
        text = f"MAJOR=8\nMINOR={self._minor}\nDEVNAME={name.replace('!', '/')}\n{uevent}"
        for key, value in {"uevent": text, "size": str(size), "ro": "0", **attributes}.items():
            path = directory / key.replace("__", "/")
            path.parent.mkdir(exist_ok=True)
            path.write_text(value + "\n")
        for slave in slaves:
            (directory / "slaves").mkdir(exist_ok=True)
            (directory / "slaves" / slave).mkdir()
        if udev:
            (self.roots.udev_data / f"b8:{self._minor}").write_text(udev)
        return directory

    def link(self, name: str, target: str) -> None:
        (self.roots.dev / "disk/by-id" / name).symlink_to(f"../../{target}")

    def devices(
        self,
        mounts: tuple[MountEntry, ...] = (),
        swaps: frozenset[str] = frozenset(),
        loops: Mapping[str, Backing] = MappingProxyType({}),
    ) -> dict[str, BlockDevice]:
        links = links_by_device(self.roots)
        found = assemble(read_raw_devices(self.roots), links, mounts, swaps, loops)
        return {device.name: device for device in found}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def mount(path: str, source: str, majmin: str = "0:99") -> MountEntry:
    return MountEntry(majmin, "/", path, frozenset(), "btrfs", source)


def test_a_disk_by_udevs_word(tree: Tree) -> None:
    tree.add(
        "sda",
        size=4096,
        uevent="DEVTYPE=disk\nDISKSEQ=7\n",
        udev=(
            "S:disk/by-id/x\nE:ID_SERIAL=LONG_WD-1\nE:ID_SERIAL_SHORT=WD-1\n"
            "E:ID_WWN=0x5000\nE:ID_MODEL_ENC=WD\\x20Red\\x20\\x20\nE:ID_FS_TYPE=ext4\n"
            "E:ID_FS_UUID=u-u\n"
        ),
        queue__logical_block_size="4096",
    )
    disk = tree.devices()["sda"]
    assert (disk.path, disk.type, disk.size, disk.majmin) == ("/dev/sda", "disk", 4096 * 512, "8:1")
    assert (disk.serial, disk.wwn, disk.model) == ("WD-1", "0x5000", "WD Red")
    assert (disk.fstype, disk.uuid, disk.diskseq) == ("ext4", "u-u", 7)
    assert (disk.ro, disk.logical_sector) == (False, 4096)


def test_a_disk_without_udev(tree: Tree) -> None:
    tree.add("vda", serial="V-1", device__vendor="0x1af4", device__model="Virtual ")
    disk = tree.devices()["vda"]
    assert (disk.serial, disk.vendor, disk.model) == ("V-1", "0x1af4", "Virtual")
    assert (disk.wwn, disk.fstype, disk.id_link, disk.diskseq) == (None, None, None, None)


@pytest.mark.parametrize(
    ("attribute", "serial"),
    [
        ("drive-scsi1\0", "drive-scsi1"),
        ("  S 12\0\0\0  \n", "S 12"),
        ("S\x1b[31m-\u202e1\x7f\r\n", "S[31m-1"),
        ("\0\0 \0", None),
    ],
)
def test_a_serial_has_no_padding_and_no_control_characters(
    tree: Tree, attribute: str, serial: str | None
) -> None:
    tree.add("sda", device__serial=attribute)
    tree.add("sdb", udev=f"E:ID_SERIAL_SHORT={attribute.splitlines()[0]}\n")
    devices = tree.devices()
    assert devices["sda"].serial == serial == devices["sdb"].serial


def test_a_serial_of_padding_alone_leaves_the_word_to_the_next_source(tree: Tree) -> None:
    tree.add("sda", device__serial="\0\0", udev="E:ID_SERIAL_SHORT=\0\nE:ID_SERIAL=LONG\n")
    tree.add("sdb", device__serial="\0\0", serial="S-1")
    devices = tree.devices()
    assert (devices["sda"].serial, devices["sdb"].serial) == ("LONG", "S-1")


@pytest.mark.parametrize("source", ["udev", "driver"])
def test_what_a_drive_says_of_itself_is_cleaned(tree: Tree, source: str) -> None:
    if source == "udev":
        udev = (
            "E:ID_SERIAL_SHORT=WD\x00-\x0b\x851\x00 \nE:ID_WWN=\x7f0x5\nE:ID_MODEL=Red\u202e\x1b\n"
        )
        tree.add("sda", udev=udev + "E:ID_VENDOR_ENC=A\\x00TA\\x01\n")
    else:
        tree.add("sda", serial="\0\0", device__serial="WD-1\0\0", device__model="\x01Red\0\0 ")
    disk = tree.devices()["sda"]
    assert (disk.serial, disk.model) == ("WD-1", "Red")
    if source == "udev":
        assert (disk.wwn, disk.vendor) == ("0x5", "ATA")


def test_loop_devices_are_part_of_the_stack(tree: Tree) -> None:
    for name in ("sda", "loop0", "loop1", "loop2"):
        tree.add(name, within="virtual/block" if name.startswith("loop") else "pci0/block")
    tree.add("sda1", within="pci0/block/sda", uevent="DEVTYPE=partition\n")
    devices = tree.devices(
        loops={
            "loop0": Backing("/dev/sda", "sda", is_file=False),
            "loop1": Backing("/srv/a.img", "sda1", is_file=True),
            "loop2": Backing("/net/b.img", None, is_file=True),
        }
    )
    assert {device.name for device in devices["sda"].walk()} == {"sda", "sda1", "loop0", "loop1"}
    files = [devices[name].backing_file for name in ("loop0", "loop1", "loop2")]
    assert files == [None, "/srv/a.img", "/net/b.img"]


def test_a_volume_extended_by_a_loop_device_whose_file_it_holds(tree: Tree) -> None:
    tree.add("sda")
    tree.add("loop0", within="virtual/block")
    tree.add("dm-0", within="virtual/block", slaves=("sda", "loop0"), dm__uuid="LVM-x")
    devices = tree.devices(loops={"loop0": Backing("/vg/loop.img", "dm-0", is_file=True)})
    assert [device.name for device in devices["loop0"].walk()] == ["loop0", "dm-0"]


def test_partitions_lie_below_their_disk(tree: Tree) -> None:
    tree.add("sda", serial="S")
    for number in (10, 2):
        tree.add(f"sda{number}", within="pci0/block/sda", uevent="DEVTYPE=partition\n")
    devices = tree.devices()
    assert [child.name for child in devices["sda"].children] == ["sda2", "sda10"]
    assert (devices["sda2"].type, devices["sda2"].parents) == ("part", ("sda",))
    assert devices["sda2"].serial is None


def test_stacks(tree: Tree) -> None:
    tree.add("sda")
    tree.add("sdb")
    tree.add("md127", within="virtual/block", slaves=("sda", "sdb"), md__level="raid1")
    tree.add(
        "dm-0", within="virtual/block", slaves=("md127",), dm__uuid="LVM-abc", dm__name="vg-lv"
    )
    devices = tree.devices()
    for member in ("sda", "sdb"):
        assert [below.name for below in devices[member].walk()] == [member, "md127", "dm-0"]
    assert (devices["md127"].type, devices["md127"].parents) == ("raid1", ("sda", "sdb"))
    assert (devices["dm-0"].type, devices["dm-0"].path) == ("lvm", "/dev/mapper/vg-lv")


@pytest.mark.parametrize(
    ("name", "attributes", "kind"),
    [
        ("sr0", {"device__type": "5"}, "rom"),
        ("sda", {"device__type": "0"}, "disk"),
        ("loop3", {}, "loop"),
        ("md0", {}, "md"),
        ("dm-1", {"dm__uuid": "CRYPT-LUKS2-x"}, "crypt"),
        ("dm-2", {"dm__uuid": "mpath-3600"}, "mpath"),
        ("dm-3", {"dm__uuid": "part1-mpath-3600"}, "part"),
        ("dm-4", {}, "dm"),
        ("nvme0n1", {}, "disk"),
    ],
)
def test_types(tree: Tree, name: str, attributes: dict[str, str], kind: str) -> None:
    tree.add(name, within="virtual/block", **attributes)  # type: ignore[arg-type]
    assert tree.devices()[name].type == kind


def test_links_that_tell_come_first(tree: Tree) -> None:
    tree.add("sda", udev="E:ID_SERIAL_SHORT=WD-1\n")
    tree.add("sda1", within="pci0/block/sda", uevent="DEVTYPE=partition\n")
    for name in ("wwn-0x5", "ata-Model_WD-1", "ata-Model_WD-1-part0", "scsi-35000"):
        tree.link(name, "sda")
    tree.link("ata-Model_WD-1-part1", "sda1")
    devices = tree.devices()
    assert devices["sda"].id_link == "ata-Model_WD-1"
    assert set(devices["sda"].links) > {"wwn-0x5", "scsi-35000"}
    assert devices["sda1"].links == ("ata-Model_WD-1-part1",)


def test_empty_vanished_and_broken_entries_are_left_out(tree: Tree) -> None:
    tree.add("loop0", size=0)
    (tree.roots.sys / "class/block/gone").symlink_to("../../devices/none/gone")
    directory = tree.add("sdb")
    (directory / "uevent").write_text("garbage\n")
    directory = tree.add("sdc")
    (directory / "size").write_bytes(b"\xff\xfe")
    tree.add("sdd")
    assert set(tree.devices()) == {"sdd"}


def test_where_it_is_mounted(tree: Tree) -> None:
    tree.add("sda")
    tree.add("sdb")
    tree.add("sdc")
    mounts = (mount("/a", "none", "8:1"), mount("/b", "/dev/sdb"), mount("/again", "none", "8:1"))
    devices = tree.devices(mounts, frozenset({"sdc"}))
    assert {name: device.mountpoint for name, device in devices.items()} == {
        "sda": "/a",
        "sdb": "/b",
        "sdc": "[SWAP]",
    }


@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=20))
def test_mangled_trees_are_read(
    tmp_path_factory: pytest.TempPathFactory, uevent: bytes, udev: bytes, size: bytes
) -> None:
    tree = Tree(tmp_path_factory.mktemp("tree"))
    directory = tree.add("sda", udev="E:ID_SERIAL=x\n")
    (directory / "uevent").write_bytes(b"MAJOR=8\nMINOR=1\n" + uevent)
    (directory / "size").write_bytes(size)
    (tree.roots.udev_data / "b8:1").write_bytes(udev)
    for device in tree.devices().values():
        assert device.size > 0


@given(st.text())
def test_unescaping_never_fails(text: str) -> None:
    assert isinstance(unescape_hex(text), str)


def test_unescape() -> None:
    assert unescape_hex("caf\\xc3\\xa9\\x20") == "café"


@given(st.lists(st.text(alphabet="sda0123456789p", max_size=6)))
@example(["1", "01"])
def test_natural_order_is_total(names: list[str]) -> None:
    assert sorted(names, key=natural) == sorted(sorted(names), key=natural)


def test_it_reads_this_hosts_names() -> None:
    assert {d.name for d in read_raw_devices()} <= set(os.listdir("/sys/class/block"))


_WORDS = (
    *("ID_SERIAL", "ID_SERIAL_SHORT", "ID_SCSI_SERIAL", "ID_WWN", "ID_MODEL", "ID_MODEL_ENC"),
    *("ID_VENDOR", "ID_VENDOR_ENC", "ID_FS_TYPE", "ID_FS_UUID"),
)


@given(st.text())
@example("\x00\u202edrive\u2028\ud800")
@example("WD\\x0a\\xe2\\x80\\xae1")
def test_what_a_drive_says_of_itself_is_data(text: str) -> None:
    raw = RawDevice("sda", Path("/nosuch/sda"), {}, dict.fromkeys(_WORDS, text))
    (device,) = assemble([raw], {}, (), frozenset(), {})
    said = (device.serial, device.wwn, device.model, device.vendor, device.fstype, device.uuid)
    for word in said:
        assert word is None or (word.isprintable() and 0 < len(word) <= MAX_NAME)
