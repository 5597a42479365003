"""Live events: a creation step by step, a member that fails, a drive that is pulled, and clients
that come back after a cut and after a restart of the agent.
"""

from typing import Any

import httpx

from ..lab.drives import numbered
from .backends import Backend
from .following import Follower
from .site import Pool, Site

OF_THE_CORE = True
DRIVES = numbered(3, 64 << 20, faults=True)
ONE, TWO, THREE = (drive.serial for drive in DRIVES)


def statuses(pool: Any) -> dict[str, str]:
    return {drive["serial"]: drive["status"] for drive in pool["drives"]}


def test_a_client_follows_a_pool_through_its_life(site: Site, backend: Backend) -> None:
    follower = Follower(site)
    first = follower.until("snapshot").data
    assert first["reason"] == "connected"
    assert {drive["serial"] for drive in first["drives"]["blockdevices"]} == {ONE, TWO, THREE}

    pool = site.made(ONE, TWO, **backend.options())
    follower.until("operation", lambda operation: operation["state"] == "succeeded")
    check_creation(follower, pool)

    pool.until_health("active")
    backend.fail(pool, TWO)
    follower.until("pool", lambda seen: statuses(seen)[TWO] == "failed")
    last_id = follower.last_id
    key = {"X-Api-Key": site.guest.api_key}
    metrics = httpx.get(f"{site.guest.url}/metrics", headers=key).text.splitlines()
    assert 'backy_pools{state="ready",status="degraded"} 1.0' in metrics
    assert 'backy_members{state="failed"} 1.0' in metrics
    follower.cut()

    site.guest.unplug(THREE)
    site.guest.unplug(TWO)
    back = Follower(site, last_id)
    back.until("drive-removed")
    back.until("pool", lambda seen: statuses(seen)[TWO] in ("missing", "disconnected"))
    assert not back.of("snapshot")

    site.restart()
    assert back.ended.wait(30)
    again = Follower(site, back.last_id)
    fresh = again.until("snapshot").data
    assert fresh["reason"] == "restarted"
    assert fresh["agentInstance"] != first["agentInstance"]
    assert [drive["serial"] for drive in fresh["drives"]["blockdevices"]] == [ONE]
    assert [seen["poolGroupGuid"] for seen in fresh["pools"]] == [pool.guid]
    again.cut()
    site.plug(TWO, THREE)


def check_creation(follower: Follower, pool: Pool) -> None:
    """Its steps in order, its lines without a gap, and its end after its last line."""
    operations = follower.of("operation")
    assert {operation["poolGroupGuid"] for operation in operations} == {pool.guid}
    steps = [operation["progress"]["step"] for operation in operations]
    assert steps == sorted(steps)
    assert len(set(steps)) > 2, operations
    assert operations[-1]["progress"]["percent"] == 100
    lines = [line for outputs in follower.of("outputs") for line in outputs["lines"]]
    assert lines == pool.outputs()
    names = [event.name for event in follower.events]
    ended = max(index for index, name in enumerate(names) if name == "operation")
    assert "outputs" not in names[ended:]
