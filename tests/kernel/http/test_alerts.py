"""Messages by the plugin backy-notify, to a web address in the guest."""

import json
import time
from typing import Any

from ..lab import systems
from ..lab.drives import numbered
from . import told
from .backends import MDADM, Backend
from .site import LOOK_SECONDS, PATIENCE, Site

BACKENDS = [MDADM]
DRIVES = numbered(4, 64 << 20)
ONE, TWO, THREE, FOUR = (drive.serial for drive in DRIVES)
TOLD = "/run/told"
RECEIVER = f"{systems.chosen().python} {told.__file__} {told.PORT} {TOLD}"
GUEST = {
    "env": {
        "BACKY_OPEN_WAIT_S": "2",
        "BACKY_PLUGIN_NOTIFY_HOST": "nas2",
        "BACKY_PLUGIN_NOTIFY_TARGETS": f"json://127.0.0.1:{told.PORT}/",
    },
    "prepare": f"setsid {RECEIVER} </dev/null >/dev/null 2>&1 &",
}
GOAL_S, SLACK_S = 2.0, 4.0
"""From the failure to the message; what a busy machine may add."""
DEBOUNCE_S = 1.0


def messages(site: Site, count: int = 0) -> list[dict[str, Any]]:
    """Those that came since this boot, once there are ``count``."""
    deadline = time.monotonic() + PATIENCE
    while True:
        lines = site.run(f"cat {TOLD}").out.splitlines()
        if len(lines) >= count:
            return [json.loads(line) for line in lines]
        assert time.monotonic() < deadline, lines
        time.sleep(LOOK_SECONDS)


def settled_messages(site: Site) -> list[str]:
    """The titles, once whatever might still come has come."""
    time.sleep(DEBOUNCE_S + SLACK_S)
    return [message["title"] for message in messages(site)]


def test_people_are_told_what_broke_and_nothing_else(site: Site, backend: Backend) -> None:
    backend.slow_sync(site)
    pool = site.made(ONE, TWO, **backend.options())
    assert pool.detail()["poolStatus"] == "resync"
    backend.full_sync(site)
    other = site.made(THREE, FOUR, **backend.options())
    for made in (pool, other):
        made.until_health("active")
    assert settled_messages(site) == [], "a first build"

    device, node = pool.detail()["poolId"], site.node(TWO)
    failed_at = float(
        site.output(f"date +%s.%N; mdadm --fail /dev/{device} {node} >/dev/null 2>&1")
    )
    (message,) = messages(site, 1)
    took_s = message["at"] - failed_at
    print(f"From mdadm --fail to the message: {took_s:.2f} s")
    assert DEBOUNCE_S <= took_s < GOAL_S + SLACK_S
    title = f"nas2: pool {pool.detail()['label']} is degraded"
    assert (message["title"], message["type"]) == (title, "warning")
    assert f"({pool.guid[:8]}, mdadm raid1)" in message["message"]
    assert f"Drive {TWO} (LAB DISK, 67.1 MB, {TWO}-label) has failed." in message["message"]
    assert site.done("POST", "/notify/test")["targets"] == [
        {"target": "target 1 (json)", "delivered": True, "reason": None}
    ]

    pool.delete()  # after a power cut md may take the failed member back, which would be told too
    site.guest.cut()
    site.boot(without={FOUR})
    (message,) = messages(site, 1)
    assert message["title"] == f"nas2: pool {other.detail()['label']} is degraded"
    assert f"Drive {FOUR} (67.1 MB, {FOUR}-label) is not connected." in message["message"]
    site.restart("kill")
    assert settled_messages(site) == [message["title"]], "each condition once, over restarts"

    site.guest.cut()
    site.boot()
    other.until("ready")
    other.until_health("active")
    assert settled_messages(site) == [f"nas2: pool {other.detail()['label']} is complete again"]
