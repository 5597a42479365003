"""The package's life in one guest, in this order: `make test-deb`."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .guest import DebianGuest

SUITE = Path(os.environ["BACKY_TEST_DEBIAN"]).resolve()
POOLS = {
    "mdadm": ("11111111-2222-4333-8444-555555555501", ("drive-a", "drive-b")),
    "lvm": ("11111111-2222-4333-8444-555555555502", ("drive-c", "drive-d")),
}
PATHS = [f"/mnt/backy/{guid}" for guid, _ in POOLS.values()]
INSTALL = "apt-get install --yes --no-install-recommends"
SHORT_WATCHDOG = "/run/systemd/system/backy.service.d/watchdog.conf"


@pytest.fixture(scope="module")
def guest() -> Iterator[DebianGuest]:
    folder = Path(tempfile.mkdtemp(prefix="backy-debian-"))
    guest = DebianGuest(
        folder, SUITE, tuple(drive for _, drives in POOLS.values() for drive in drives)
    )
    try:
        guest.boot()
        yield guest
    finally:
        guest.cut()
        shutil.rmtree(folder)


def mounts(guest: DebianGuest) -> dict[str, str]:
    """The pools' mounts as everything else on the machine sees them, path by mount id."""
    fields = [line.split() for line in guest.output("cat /proc/1/mountinfo").splitlines()]
    return {field[0]: field[4] for field in fields if field[4] in PATHS}


def check_pools(guest: DebianGuest, *, within: float = 0) -> None:
    deadline = time.monotonic() + within
    for (guid, _), path in zip(POOLS.values(), PATHS, strict=True):
        while (pool := guest.call("GET", f"/pools/{guid}").body)["state"] != "ready":
            assert time.monotonic() < deadline, pool
            time.sleep(0.5)
        assert pool["mountPath"] == path
        assert guest.output(f"cat {path}/letter") == "still here"


def test_it_installs_and_starts(guest: DebianGuest) -> None:
    assert guest.output("systemctl is-system-running") == "running"
    guest.output(f"{INSTALL} /.job/packages/1.deb", timeout=600)
    assert guest.output("systemctl is-active backy.service backy.socket") == "active\nactive"
    assert guest.output("systemctl is-enabled backy.service backy.socket") == "enabled\nenabled"
    assert guest.output("systemctl show --property Type --value backy") == "notify"
    assert guest.output("stat --format '%U %a' /etc/backy/api-key") == "root 600"
    assert guest.output("ls /usr/share/man/man*/backy*").count("backy") == 2
    listed = guest.call("GET", "/drives").body["blockdevices"]
    assert {drive["serial"] for drive in listed} >= {"drive-a", "drive-d"}


@pytest.mark.parametrize("backend", POOLS)
def test_a_pool_is_made_and_everybody_sees_it(guest: DebianGuest, backend: str) -> None:
    guid, drives = POOLS[backend]
    body = {
        "label": backend,
        "backend": backend,
        "driveSerials": drives,
        "driveLabels": {serial: serial for serial in drives},
        "mountPath": f"/mnt/backy/{guid}",
        "poolGroupGuid": guid,
    }
    assert guest.call("POST", "/pools", body).status == 202
    while (pool := guest.call("GET", f"/pools/{guid}").body)["state"] == "creating":
        time.sleep(0.5)
    assert pool["state"] == "ready", pool
    assert f"/mnt/backy/{guid}" in mounts(guest).values()
    guest.output(f"echo still here >/mnt/backy/{guid}/letter; sync")


def test_a_stop_is_quick_and_the_next_request_starts_it(guest: DebianGuest) -> None:
    before = mounts(guest)
    took = guest.output("s=$(date +%s); systemctl stop backy.service; echo $(($(date +%s) - s))")
    assert int(took) <= 10
    assert guest.run("systemctl is-active backy.service") == (3, "inactive")
    check_pools(guest)
    member = "setpriv --reuid nobody --regid backy --clear-groups"
    socket = "curl --silent --unix-socket /run/backy/agent.sock http://localhost/api/v1/status"
    assert "Running" in guest.output(f"{member} {socket}")
    assert guest.run(f"{member.replace('backy', 'nogroup')} {socket}")[0] != 0
    assert mounts(guest) == before


def test_one_that_hangs_is_started_anew(guest: DebianGuest) -> None:
    before = mounts(guest)
    guest.output(
        f"mkdir -p {Path(SHORT_WATCHDOG).parent}; printf '[Service]\\nWatchdogSec=6\\n' "
        f">{SHORT_WATCHDOG}; systemctl daemon-reload; systemctl restart backy"
    )
    hung = guest.output("systemctl show --property MainPID --value backy; sleep 10")
    assert guest.output("systemctl show --property MainPID --value backy") == hung
    guest.output(f"kill -STOP {hung}; while [ -e /proc/{hung} ]; do sleep 0.5; done", timeout=60)
    assert "'watchdog'" in guest.output("journalctl --unit backy --no-pager --lines 20")
    check_pools(guest)
    guest.output(f"rm {SHORT_WATCHDOG}; systemctl daemon-reload")
    assert mounts(guest) == before


def test_an_upgrade_keeps_pools_mounted(guest: DebianGuest) -> None:
    before = mounts(guest)
    pid = guest.output("systemctl show --property MainPID --value backy")
    guest.output(f"{INSTALL} /.job/packages/2.deb", timeout=600)
    assert guest.output("dpkg-query --show --showformat '${Version}' backy").endswith(".1")
    assert guest.output("systemctl show --property MainPID --value backy") != pid
    check_pools(guest)
    assert mounts(guest) == before


def test_a_reboot_brings_pools_back(guest: DebianGuest) -> None:
    guest.reboot()
    assert guest.output("systemctl is-active backy.service") == "active"
    check_pools(guest, within=60)  # drives may be late, so the agent is ready before they are


def test_removing_keeps_pools_and_state(guest: DebianGuest) -> None:
    before = mounts(guest)
    guest.output("apt-get remove --yes backy")
    assert guest.run("systemctl is-active backy.service backy.socket")[1] == "inactive\ninactive"
    guest.output("test -e /etc/backy/api-key -a -e /var/lib/backy/pool-metadata.json")
    assert mounts(guest) == before
    guest.output(f"{INSTALL} /.job/packages/2.deb", timeout=600)
    check_pools(guest)


def test_purging_touches_no_pool(guest: DebianGuest) -> None:
    before = mounts(guest)
    guest.output("apt-get purge --yes backy")
    assert guest.run("ls -d /etc/backy /var/lib/backy /usr/lib/backy")[1] == ""
    assert mounts(guest) == before
    path = PATHS[0]
    array = guest.output(f"findmnt --noheadings --output SOURCE {path}")
    guest.output(f"umount {path}; mdadm --stop {array}; mdadm --assemble --scan")
    guest.output(f"udevadm settle; mount {array} {path}")
    assert guest.output(f"cat {path}/letter") == "still here"
