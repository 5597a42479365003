"""The lab itself: what the other kernel tests take for granted."""

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from .conftest import AgentGuestFactory, GuestFactory
from .lab.agent import AgentGuest
from .lab.drives import Drive, numbered, parse_size
from .lab.errors import LabError
from .lab.guest import Guest, attach
from .lab.state import REPOSITORY
from .lab_helpers import STAND_IN, processes_in

MIRROR = "mdadm --create /dev/md0 --run --level=1 --raid-devices=2 --assume-clean {}"
MAKE_AND_MOUNT = "mkfs.ext4 -q /dev/md0 && mkdir -p /mnt/x && mount /dev/md0 /mnt/x"


def node_of(guest: Guest, serial: str) -> str:
    """Today's device node of a drive."""
    found = guest.exec(f"readlink -f /dev/disk/by-id/*{serial}", check=True).out.strip()
    assert found.startswith("/dev/"), found
    return found


@pytest.mark.parametrize(
    ("text", "size"), [("256M", 256 << 20), ("1G", 1 << 30), ("4096", 4096), ("64KiB", 64 << 10)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "-1", "1.5G", "12X", "M"])
def test_sizes_refused(text: str) -> None:
    with pytest.raises(LabError, match="is not a size"):
        parse_size(text)


def test_commands(guest_factory: GuestFactory) -> None:
    guest = guest_factory([Drive("plain", 64 << 20, "ubd")])

    failing = guest.exec("echo out; echo err >&2; exit 7")
    assert (failing.rc, failing.out, failing.err) == (7, "out\n", "err\n")
    assert guest.exec(["printf", "%s|", "a b", "$HOME"]).out == "a b|$HOME|"
    assert guest.exec("echo $SPECIAL", env={"SPECIAL": "yes"}).out == "yes\n"
    assert guest.exec(["no-such-program"]).rc == 127
    assert guest.exec("kill -9 $$").rc == 128 + 9
    assert guest.exec("id -u; hostname; cat /etc/fstab").out == "0\nlab\n"
    assert len(guest.exec("dd if=/dev/zero bs=1M count=5").out) == 5 << 20
    with pytest.raises(LabError, match="exited with 3"):
        guest.exec("exit 3", check=True)

    # Background processes live on, do not hold the call, and survive writing to the closed output.
    background = guest.exec("(for i in 1 2 3; do sleep 0.5; echo $i; done; touch /run/done) &")
    assert background.seconds < 1.5
    guest.exec("while ! [ -e /run/done ]; do sleep 0.1; done", check=True, timeout=20)

    # A command whose time is up is killed.
    with pytest.raises(TimeoutError):
        guest.exec(["sleep", "600"], timeout=0.5)
    guest.exec("while pgrep -x sleep; do sleep 0.1; done", check=True, timeout=20)

    results: list[float] = []
    threads = [
        threading.Thread(target=lambda: results.append(guest.exec("sleep 1").seconds))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(results) < 3

    assert attach(guest.state.path).exec("echo too").out == "too\n"
    with pytest.raises(LabError, match="already running"):
        Guest(guest.state.path).start()
    guest.stop()
    assert processes_in(guest.state.path) == []
    with pytest.raises(LabError, match="No guest is running"):
        guest.exec("true")


def test_drives_come_and_go(guest_factory: GuestFactory) -> None:
    drives = [*numbered(2), *(Drive(f"drive-scsi{number}") for number in (10, 11))]
    guest = guest_factory(drives)
    listed = json.loads(guest.exec("lsblk -J -b -d -o NAME,SERIAL,SIZE,WWN,TYPE,RO").out)
    disks = [disk for disk in listed["blockdevices"] if disk["type"] == "disk"]
    assert sorted(disk["serial"] for disk in disks) == sorted(drive.serial for drive in drives)
    assert {disk["size"] for disk in disks} == {256 << 20}
    assert len({disk["wwn"] for disk in disks}) == len(drives), "one WWN for each drive"

    first, second = node_of(guest, "drive-scsi1"), node_of(guest, "drive-scsi2")
    guest.exec(MIRROR.format(f"{first} {second}") + f" && {MAKE_AND_MOUNT}", check=True)
    guest.unplug("drive-scsi2")
    assert guest.exec(f"test -e /sys/block/{Path(second).name}").rc == 1
    guest.exec("echo x > /mnt/x/file && sync && grep -q '\\[U_\\]' /proc/mdstat", check=True)
    guest.exec("udevadm settle && ! ls /dev/disk/by-id/*drive-scsi2", check=True)

    guest.plug("drive-scsi2")
    again = node_of(guest, "drive-scsi2")
    guest.exec(
        f"mdadm /dev/md0 --add {again} && mdadm --wait /dev/md0; cat /mnt/x/file", check=True
    )
    guest.exec("grep -q '\\[UU\\]' /proc/mdstat", check=True)

    guest.exec("umount /mnt/x && mdadm --stop /dev/md0", check=True)
    guest.stop()
    guest.start(order=["drive-scsi11", "drive-scsi10", "drive-scsi2", "drive-scsi1"])
    assert node_of(guest, "drive-scsi11") == first, "the first drive gets the first name"
    assembled = guest.exec("cat /proc/mdstat").out
    assert "raid1" in assembled, "udev assembles arrays at boot"

    with pytest.raises(LabError, match="no drive nonesuch"):
        guest.unplug("nonesuch")
    with pytest.raises(LabError, match="faults=True"):
        guest.fault("drive-scsi1", "error")


def test_faults(guest_factory: GuestFactory) -> None:
    guest = guest_factory([Drive("good"), Drive("bad", faults=True), Drive("good2", name="other")])
    node = node_of(guest, "bad")
    read = f"dd if={node} of=/dev/null bs=4k count=1 iflag=direct"
    write = f"dd if=/dev/urandom of={node} bs=4k count=1 oflag=direct"

    guest.exec(read, check=True)
    guest.fault("bad", "error")
    assert "Input/output error" in guest.exec(read).err
    guest.fault("bad", "write-error")
    guest.exec(read, check=True)
    assert "Input/output error" in guest.exec(write).err
    guest.fault("bad", "drop-writes")
    guest.exec(f"{write} && cmp -n 4096 {node} /dev/zero", check=True)
    guest.fault("bad", "slow")
    assert guest.exec(read, check=True).seconds > 0.2
    guest.fault("bad", "none")
    assert guest.exec(f"{write} && {read}", check=True).seconds < 2

    # What lies below the drive is not offered to anybody else.
    good, bad = node_of(guest, "good"), node
    guest.exec(MIRROR.format(f"{good} {bad}") + "; udevadm trigger -s block; udevadm settle")
    members = guest.exec("ls /sys/block/md0/slaves").out.split()
    assert sorted(members) == sorted(Path(node).name for node in (good, bad))
    assert guest.exec("ls -d /sys/block/md*").out.split() == ["/sys/block/md0"]


def test_power_cut_takes_what_was_not_flushed(agent_guest_factory: AgentGuestFactory) -> None:
    guest = agent_guest_factory(numbered(2), argv=STAND_IN)
    nodes = f"{node_of(guest, 'drive-scsi1')} {node_of(guest, 'drive-scsi2')}"
    guest.exec(MIRROR.format(nodes) + f" && {MAKE_AND_MOUNT} && sync", check=True)
    for folder in ("/var/lib/backy", "/etc/backy", "/mnt/x"):
        guest.exec(
            f"cd {folder} && echo kept > kept && sync kept . && echo lost > lost "
            "&& echo old > renamed && sync . renamed && echo new > part && mv part renamed",
            check=True,
        )
    key = guest.api_key
    guest.cut()
    assert processes_in(guest.state.path) == []

    guest.start()
    assert guest.exec("cat /etc/backy/api-key").out.strip() == key
    guest.exec("mkdir -p /mnt/x && mount /dev/md/*0 /mnt/x || mount /dev/md127 /mnt/x", check=True)
    for folder in ("/var/lib/backy", "/etc/backy", "/mnt/x"):
        assert guest.exec(f"cat {folder}/kept").out == "kept\n"
        assert guest.exec(f"test -s {folder}/lost").rc == 1, f"{folder}/lost was never flushed"


def test_orderly_shutdown_keeps_everything(agent_guest_factory: AgentGuestFactory) -> None:
    guest = agent_guest_factory(numbered(2), argv=STAND_IN)
    guest.exec("echo kept > /var/lib/backy/file; mkdir /mnt/backy/pool", check=True)
    key = guest.api_key
    guest.down()
    assert processes_in(guest.state.path) == []
    guest.start()
    assert guest.exec("cat /var/lib/backy/file; ls /mnt/backy").out == "kept\npool\n"
    assert guest.exec("cat /etc/backy/api-key").out.strip() == key


def test_agent_process(agent_guest_factory: AgentGuestFactory) -> None:
    guest = agent_guest_factory([], argv=STAND_IN)
    assert guest.request("GET", "/api/v1/status") == (200, {"status": "Running"})
    assert guest.api_key.startswith("key-")

    guest.agent("stop")
    assert guest.agent_status() == {"pid": None, "exit": -15}
    with pytest.raises(OSError, match=r"reset|closed|refused"):
        guest.request("GET", "/api/v1/status")
    guest.agent("start")
    with pytest.raises(LabError, match="already running"):
        guest.agent("start")
    guest.agent("kill")
    assert guest.agent_status() == {"pid": None, "exit": -9}
    assert guest.log().count("stand-in is up") == 2


def test_agent_that_cannot_start(agent_guest_factory: AgentGuestFactory) -> None:
    with pytest.raises(LabError, match="The agent ended at its start: no luck"):
        agent_guest_factory([], argv=["/bin/sh", "-c", "echo no luck; exit 1"])


def test_forwarding(agent_guest_factory: AgentGuestFactory) -> None:
    guest: AgentGuest = agent_guest_factory([], argv=STAND_IN)
    port = guest.running.port
    assert port is not None

    # Keep-alive: many requests, large bodies, one connection.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for size in (0, 10, 3 << 20):
        connection.request("POST", "/echo", body=b"x" * size)
        assert connection.getresponse().read() == b"x" * size

    # A stream arrives as it is made, and ends in the guest when the client leaves.
    with urllib.request.urlopen(f"{guest.url}/stream", timeout=10) as stream:
        assert stream.readline() == b"data: 0\n"
    guest.exec("while ! [ -e /run/stream-ended ]; do sleep 0.1; done", check=True, timeout=20)

    # Clients that vanish, half-way and rudely, do no harm.
    for _ in range(20):
        rude = socket.create_connection(("127.0.0.1", port))
        rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        rude.sendall(b"GET /stream HTTP/1.1\r\n")
        rude.close()
    assert guest.request("GET", "/api/v1/status")[0] == 200

    # The port is free again at once.
    guest.cut()
    guest.spec = type(guest.spec)(**{**vars(guest.spec), "port": port})
    guest.start()
    assert guest.running.port == port


def test_guest_cannot_harm_the_host(guest_factory: GuestFactory, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("intact")
    guest = guest_factory([Drive("plain", 64 << 20, "ubd")])
    places = [
        "/etc",
        "/root",
        "/tmp",
        "/var/lib",
        "/usr/bin",
        "/opt",
        str(tmp_path),
        str(REPOSITORY),
    ]
    attack = "; ".join(
        # By mount(2): hostfs of Linux 6.11 and later refuses a bare path from fsconfig(2).
        ["export LIBMOUNT_FORCE_MOUNT2=always", "mkdir /run/h"]
        + ["mount -t hostfs -o / none /run/h && test -e /run/h/etc || echo no attack"]
        + ["mount -o remount,rw /run/h"]
        + [f"touch /run/h{place}/lab-was-here && echo wrote {place}" for place in places]
        + [f"echo harmed > /run/h{victim} && echo wrote victim"]
        + ["rm -rf /run/h/etc /usr/bin/env", "echo 7 > /run/h/proc/sys/vm/swappiness && echo wrote"]
        + ["mknod /.lab/block b 254 0 && echo made a node", "ls /run/h/sys /run/h/run"]
    )
    swappiness = Path("/proc/sys/vm/swappiness").read_text()
    done = guest.exec(attack)
    assert done.out == "/run/h/run:\n\n/run/h/sys:\n", done.out
    assert victim.read_text() == "intact"
    assert not [place for place in places if Path(place, "lab-was-here").exists()]
    assert Path("/etc/fstab").exists() or Path("/etc/hostname").exists()
    assert Path("/usr/bin/env").exists()
    assert Path("/proc/sys/vm/swappiness").read_text() == swappiness
    # It owns its own state directory, and nothing else.
    guest.exec("touch /.lab/mine", check=True)
    assert (guest.state.path / "mine").exists()


def test_guest_ends_with_its_time(guest_factory: GuestFactory) -> None:
    guest = guest_factory([], lifetime=4.0, udev=False)
    deadline = time.monotonic() + 20
    while guest.state.running() is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    guest.cut()
    assert processes_in(guest.state.path) == []


def test_guest_ends_with_its_owner(tmp_path: Path) -> None:
    script = (
        "import os; from pathlib import Path; from tests.kernel.lab.guest import Guest\n"
        f"Guest(Path({str(tmp_path)!r}), udev=False).start(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, timeout=60, check=False)
    deadline = time.monotonic() + 20
    while processes_in(tmp_path):
        assert time.monotonic() < deadline, processes_in(tmp_path)
        time.sleep(0.05)
