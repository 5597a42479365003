"""Drives that must not be taken for what they are, and the setting that makes wiping the rule."""

import time

import pytest

from backy_core.pools import blinking

from ..lab.drives import Drive
from .backends import Backend
from .site import Pool, Site

OF_THE_CORE = True
DRIVES = [
    *(Drive("twin", 64 << 20, name=name) for name in ("twin-a", "twin-b")),
    *(Drive(serial, 64 << 20) for serial in ("kept-out-1", "plain1", "plain2")),
]
GUEST = {"env": {"BACKY_EXCLUDE_DRIVES": "kept-out-*", "BACKY_WIPE_POLICY": "always"}}
PLAIN = ("plain1", "plain2")


@pytest.fixture(autouse=True)
def one_twin(site: Site) -> None:
    """The other one is on the shelf."""
    site.unplug("twin-b")


def test_one_serial_for_two_drives(site: Site, backend: Backend) -> None:
    site.plug("twin-b")
    pool = Pool.plan(site, ["twin", "plain1"], **backend.options())
    error = site.refused("POST", "/pools", pool.request, status=409, code="CONFLICT")
    assert "twin" in error["error"]["message"]
    twins = [d for d in site.get("/drives")["blockdevices"] if d["serial"] == "twin"]
    assert [drive["available"] for drive in twins] == [False, False]
    site.unplug("twin-b")
    made = site.made("twin", "plain1", **backend.options())
    made.check_ready()
    made.delete()
    made.check_gone()


def test_excluded_and_other_devices(site: Site, backend: Backend) -> None:
    """Not in the list, and not to be had by name."""
    site.output("truncate -s 64M /run/image && losetup /dev/loop7 /run/image && udevadm settle")
    site.done("POST", "/drives/refresh")
    listed = {drive["serial"] for drive in site.get("/drives")["blockdevices"]}
    assert listed == {"twin", *PLAIN}
    pool = Pool.plan(site, ["kept-out-1", "plain1"], **backend.options(), wipe=True)
    site.refused("POST", "/pools", pool.request, status=409, code="DRIVE_PROTECTED")
    for serial in ("loop7", "loop0", "sda"):
        pool = Pool.plan(site, [serial], **backend.alone())
        site.refused("POST", "/pools", pool.request, status=404, code="NOT_FOUND")
    site.output("losetup -d /dev/loop7; rm /run/image")


def test_a_drive_is_made_to_blink(site: Site, backend: Backend) -> None:
    """It is read for a while, and the others are not; nothing is written."""
    files = {serial: f"/sys/class/block/{site.node(serial).rpartition('/')[2]}" for serial in PLAIN}

    def sectors(serial: str) -> tuple[int, int]:
        words = site.output(f"cat {files[serial]}/stat").split()
        return int(words[2]), int(words[6])

    before = {serial: sectors(serial) for serial in PLAIN}
    site.done("POST", "/drives/plain1/blink")
    time.sleep(2)
    lit = sectors("plain1")
    assert lit[0] > before["plain1"][0]
    time.sleep(blinking.LIT_S * 2 * blinking.BURSTS)
    deadline = time.monotonic() + 30
    while sectors("plain1") != (lit := sectors("plain1")):
        assert time.monotonic() < deadline, "it blinks without end"
        time.sleep(2)
    read, written = (now - then for now, then in zip(lit, before["plain1"], strict=True))
    assert 512 * read <= blinking.BURSTS * blinking.READS_OF_A_BURST * blinking.READ_BYTES * 2
    assert written == 0
    assert sectors("plain2") == before["plain2"]
    site.refused("POST", "/drives/kept-out-1/blink", status=404, code="NOT_FOUND")


def test_wipe_policy_always(site: Site, backend: Backend) -> None:
    """For clients that cannot consent: foreign data goes, and the outputs say what it was."""
    site.output(f"mkfs.ext4 -q -L precious {site.node('plain1')} && udevadm settle")
    first = site.made("plain1", **backend.alone())
    lines = first.outputs()
    assert any("erased" in line and "ext4" in line for line in lines), lines
    for wipe in (False, True):
        other = Pool.plan(site, PLAIN, **backend.options(), wipe=wipe)
        site.refused("POST", "/pools", other.request, status=409, code="DRIVE_IN_USE")
    first.check_ready()
    first.delete()
    first.check_gone()


OVER_THE_DRIVE = "losetup /dev/loop6 {node} && mkfs.ext4 -q /dev/loop6"
LOOPS = {
    "mounted": OVER_THE_DRIVE + " && mount /dev/loop6 /srv/below",
    "under another name": "mknod /run/hidden b $(stat -c '0x%t 0x%T' {node}) && "
    "losetup /dev/loop6 /run/hidden && mkfs.ext4 -q /dev/loop6",
    "swapped to": "losetup /dev/loop6 {node} && mkswap -q /dev/loop6 && swapon /dev/loop6",
    "over a file of an unmounted filesystem": "mkfs.ext4 -q {node} && mount {node} /srv/below && "
    "truncate -s 8M /srv/below/image && losetup /dev/loop6 /srv/below/image && "
    "umount --lazy /srv/below",
}
FREE = """swapoff /dev/loop6 2>/dev/null; umount /srv/below 2>/dev/null; losetup -d /dev/loop6
rm -f /run/hidden; udevadm settle"""


@pytest.mark.parametrize("layout", LOOPS)
def test_a_drive_below_a_loop_device(site: Site, backend: Backend, layout: str) -> None:
    """An exclusive open of the drive would succeed."""
    node = site.node("plain1")
    site.output(f"mkdir -p /srv/below; {LOOPS[layout].format(node=node)} && udevadm settle")
    before = site.output(f"blkid -p -o value -s UUID {node}")
    site.done("POST", "/drives/refresh")
    listed = {drive["serial"]: drive for drive in site.get("/drives")["blockdevices"]}.get("plain1")
    assert listed is None or not listed["available"]
    pool = Pool.plan(site, ["plain1"], **backend.alone(), wipe=True)
    code = "DRIVE_IN_USE" if listed else "DRIVE_PROTECTED"
    site.refused("POST", "/pools", pool.request, status=409, code=code)
    assert site.output(f"blkid -p -o value -s UUID {node}") == before
    site.output(FREE)
    made = site.made("plain1", **backend.alone(), wipe=True)
    made.delete()
    made.check_gone()


def test_a_drive_that_a_program_writes_to(site: Site, backend: Backend) -> None:
    node = site.node("plain1")
    pid = site.output(f"setsid sleep 600 3<>{node} >/dev/null 2>&1 & echo $!").strip()
    pool = Pool.plan(site, ["plain1"], **backend.alone(), wipe=True)
    error = site.refused("POST", "/pools", pool.request, status=409, code="DRIVE_IN_USE")
    assert f"sleep (pid {pid}, {node})" in error["error"]["details"]
    site.output(f"kill {pid}")
    made = site.made("plain1", **backend.alone())
    made.delete()
    made.check_gone()


NAMELESS = """cat > /etc/udev/rules.d/99-nameless.rules <<'E'
KERNEL=="{name}", ENV{{ID_SERIAL}}="", ENV{{ID_SERIAL_SHORT}}="", ENV{{ID_SCSI_SERIAL}}="", \\
ENV{{SCSI_IDENT_SERIAL}}="", ENV{{ID_WWN}}="", ENV{{ID_WWN_WITH_EXTENSION}}="", SYMLINK=""
E
until_udev ! grep -q SCSI_SERIAL
for link in /dev/disk/by-id/*; do
    if [ "$(readlink -f $link)" = /dev/{name} ]; then rm $link; fi
done
if [ -e /sys/block/{name}/device/serial ]; then
    mount --bind /dev/null /sys/block/{name}/device/serial
fi"""
"""From Linux 7 on sysfs tells a SCSI drive's serial number, whatever udev does."""
NAMED = """if mountpoint -q /sys/block/{name}/device/serial; then
    umount /sys/block/{name}/device/serial
fi
rm /etc/udev/rules.d/99-nameless.rules
until_udev grep -q SCSI_SERIAL"""
UNTIL_UDEV = """set -e; until_udev() {{ udevadm control --reload; for try in 1 2 3 4 5 6; do
    udevadm trigger --settle /dev/{name}
    if udevadm info /dev/{name} | eval "$*"; then return; fi
done; return 1; }}
"""
"""On a busy machine udevd 252 may go by the old rules for an event or two after a reload."""


def test_a_drive_that_only_its_kernel_name_tells_apart(site: Site, backend: Backend) -> None:
    name = site.node("plain2").rpartition("/")[2]
    site.output((UNTIL_UDEV + NAMELESS).format(name=name))
    site.done("POST", "/drives/refresh")
    listed = {drive["serial"]: drive for drive in site.get("/drives")["blockdevices"]}[name]
    assert (listed["identifiedBy"], listed["available"]) == ("name", False)
    site.refused("PUT", f"/drives/{name}/protection", status=409, code="CONFLICT")
    pool = Pool.plan(site, [name], **backend.alone(), wipe=True)
    site.refused("POST", "/pools", pool.request, status=409, code="CONFLICT")
    site.output((UNTIL_UDEV + NAMED).format(name=name))
    site.done("POST", "/drives/refresh")
    assert {drive["serial"] for drive in site.get("/drives")["blockdevices"]} == {"twin", *PLAIN}


LIMIT = """sleep 7; pid=$(pgrep -o -f 'backy.* serve'); free=0
while [ -e /proc/$pid/fd/$free ]; do free=$((free + 1)); done
prlimit --pid $pid --nofile=$((free + 1)):4096; echo $pid"""
"""Idle connections are closed by then; what is left is enough for one."""


def test_an_agent_out_of_descriptors(site: Site, backend: Backend) -> None:
    """Unreadable things are not absent: lists stay, and nothing is changed."""
    node = site.node("plain2")
    site.output(f"mkfs.ext4 -q {node} && mkdir -p /srv/kept && mount {node} /srv/kept")
    site.output("udevadm settle")
    site.done("POST", "/drives/refresh")
    before = site.get("/drives")
    pid = site.output(LIMIT).strip()
    pool = Pool.plan(site, ["plain2"], **backend.alone(), wipe=True)
    error = site.refused("POST", "/pools", pool.request, status=400, code="SYSTEM_ERROR")
    assert "Too many open files" in error["error"]["details"]
    assert site.get("/drives") == before
    site.output(f"prlimit --pid {pid} --nofile=4096:4096")
    error = site.refused("POST", "/pools", pool.request, status=409, code="DRIVE_IN_USE")
    assert "/srv/kept" in error["error"]["message"]
    site.output(f"umount /srv/kept && wipefs -q -a {node} && udevadm settle")
    site.done("POST", "/drives/refresh")


LVM_ON_MD = """mdadm --create /dev/md/nas --run -l 1 -n 2 --metadata=1.2 {first} {second}
pvcreate -qq /dev/md/nas && vgcreate -qq inner /dev/md/nas
lvcreate -qq -y -l 100%FREE -n data inner
mkfs.ext4 -q /dev/inner/data && udevadm settle"""
APART = """vgremove -qq -f inner; pvremove -qq /dev/md/nas; mdadm --stop /dev/md/nas
mdadm --zero-superblock {first} {second}; udevadm settle"""


def test_a_volume_group_on_an_imported_array(site: Site, backend: Backend) -> None:
    """Two backends see the same drives: nothing is deleted through the lower one."""
    first, second = site.node("plain1"), site.node("plain2")
    site.output(LVM_ON_MD.format(first=first, second=second))
    site.done("POST", "/drives/refresh")
    (array,) = site.get("/pools/importable")
    assert (array["backend"], sorted(array["drives"])) == ("mdadm", sorted(PLAIN))
    url = f"/pools/{array['poolGroupGuid']}"
    site.done("POST", f"{url}/import")
    assert site.get("/pools/importable") == []
    uuid = site.output("blkid -p -o value -s UUID /dev/inner/data")
    site.refused("DELETE", url, status=409, code="DRIVE_NOT_EMPTY")
    assert site.output("blkid -p -o value -s UUID /dev/inner/data") == uuid
    site.done("DELETE", f"/pools/metadata/{array['poolGroupGuid']}")
    site.output(APART.format(first=first, second=second))
    site.done("POST", "/drives/refresh")


FIRMWARE_RAID = """mdadm --create /dev/md/ddf --run -e ddf -n 2 {first} {second}
mdadm --create /dev/md/volume --run -l 1 -n 2 /dev/md/ddf; udevadm settle"""


def test_the_way_out_of_a_firmware_raid_set(site: Site, backend: Backend) -> None:
    """The command of the refusal, as it stands there, frees the drives."""
    first, second = map(site.node, PLAIN)
    site.output(FIRMWARE_RAID.format(first=first, second=second))
    site.done("POST", "/drives/refresh")
    assert site.get("/pools/importable") == []
    pool = Pool.plan(site, ["plain1"], **backend.alone(), wipe=True)
    error = site.refused("POST", "/pools", pool.request, status=409, code="DRIVE_IN_USE")
    advice = error["error"]["details"].rpartition("needed: ")[2]
    assert advice.startswith("mdadm --stop /dev/md")
    # udev may be reading the container at the moment when its volume is stopped: mdadm says so.
    site.output(f"{advice} || {{ udevadm settle; {advice}; }}; udevadm settle")
    site.done("POST", "/drives/refresh")
    for serial in PLAIN:
        made = site.made(serial, **backend.alone(), wipe=True)
        made.delete()
        made.check_gone()
