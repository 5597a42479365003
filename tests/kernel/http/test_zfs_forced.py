"""A zpool whose newest state was never whole on its drives: the way back.

zfs-fuse goes back, as OpenZFS does, but cannot import read-only. What stands in for that here goes
back for good and mounts read-only: it shows what the agent makes of such a mount.
"""

import json
import re

from ..lab.drives import numbered
from .backends import ZFS, Backend
from .machine import METADATA_FILE
from .site import Pool, Site

BACKENDS = [ZFS]
DRIVES = numbered(2, 128 << 20)
ONE, TWO = (drive.serial for drive in DRIVES)
_START = 4 << 20
"""Of what a DVA counts from."""
_READ_ONLY = """#!/bin/sh
case "$*" in
*readonly=on*)
	for name; do :; done
	set -- import -f -F -o ro,nosuid,nodev -d /dev/disk/by-id -o cachefile=none "$name" ;;
esac
exec /usr/sbin/zpool.kept "$@"
"""


def torn(site: Site, backend: Backend) -> tuple[Pool, str]:
    """A pool that was cut off while drives that lie had not written all of its newest state; and
    what it held before."""
    pool = site.made(ONE, TWO, **backend.options())
    written = pool.write()
    site.output(f"sleep 2; date > {pool.path}/last; {backend.flush.format(path=pool.path)}")
    site.guest.agent("kill")
    shown = site.output(f"zdb -e -p /dev/disk/by-id -uuu backy-{pool.guid}")
    roots = re.findall(r"DVA\[\d\]=<0:([0-9a-f]+):([0-9a-f]+)>", shown)
    assert roots, shown
    for serial in (ONE, TWO):
        node = site.node(serial)
        for offset, size in roots:
            at, count = (int(offset, 16) + _START) >> 9, int(size, 16) >> 9
            place = f"of={node} bs=512 seek={at} count={count} conv=notrunc,fsync"
            site.output(f"dd if=/dev/urandom {place} status=none")
    site.guest.cut()
    site.boot()
    return pool, written


def test_seen_read_only_by_force_and_mounted_after_that(site: Site, backend: Backend) -> None:
    pool, written = torn(site, backend)
    label, mount = pool.detail()["label"], f"{pool.url}/mount"
    seen = site.look().drives
    told = pool.until("error")["errorMessage"]
    assert "cannot read the newest state" in told and '"force": true' in told
    refused = site.refused("POST", mount, status=409, code="CONFLICT")
    assert "It can go back to transaction group" in refused["error"]["message"]
    dry = site.done("POST", f"{mount}?dryRun=true", {"force": True})
    steps = dry["plan"]["steps"]
    assert {step["effect"] for step in steps} == {"reversible"}
    assert "-F -o readonly=on" in steps[0]["command"] and "discards" in dry["mayBeLost"]
    by_force = {"force": True, "label": label}
    site.refused("POST", mount, by_force, status=400, code="SYSTEM_ERROR")
    assert site.look().drives == seen, "zfs-fuse itself cannot, and did nothing"

    site.output(
        "mv /usr/sbin/zpool /usr/sbin/zpool.kept\n"
        f"cat > /usr/sbin/zpool <<'END'\n{_READ_ONLY}END\nchmod +x /usr/sbin/zpool"
    )
    site.done("POST", mount, by_force)
    detail = pool.detail()
    assert detail["state"] == "ready" and "by force" in detail["errorMessage"]
    assert pool.read() == written
    assert site.run(f"touch {pool.path}/new").rc != 0
    refused = site.refused("POST", mount, status=409, code="CONFLICT")
    assert "by force" in refused["error"]["message"]
    pool.unmount()
    pool.mount()
    assert pool.read() == written and "errorMessage" not in pool.detail()
    pool.write()
    pool.delete()
    pool.check_gone()


def test_taken_back_for_good_by_whom_has_seen_it(site: Site, backend: Backend) -> None:
    pool, written = torn(site, backend)
    mount = f"{pool.url}/mount"
    refused = site.refused("POST", mount, status=409, code="CONFLICT")
    because = refused["error"]["message"].partition("as it is. ")[2]
    site.guest.agent("stop")
    document = json.loads(site.output(f"cat {METADATA_FILE}"))
    (entry,) = document["pools"]
    entry |= {"seenByForce": because, "isMounted": False}
    site.output(f"cat > {METADATA_FILE} <<'END'\n{json.dumps(document)}\nEND")
    site.guest.agent("start")
    steps = site.done("POST", f"{mount}?dryRun=true")["plan"]["steps"]
    assert "destroys" in {step["effect"] for step in steps}
    pool.mount()
    assert pool.read() == written and "errorMessage" not in pool.detail()
    assert site.metadata()[pool.guid]["seenByForce"] is None
    pool.delete()
    pool.check_gone()
