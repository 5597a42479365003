"""A pool in use: refused, explained, and freed on request."""

from dataclasses import dataclass
from typing import Any

import pytest

from ..lab.drives import numbered
from . import fields
from .backends import Backend
from .site import Pool, Site
from .tools import occupy

OF_THE_CORE = True
DRIVES = numbered(2, 64 << 20)
ONE, TWO = (drive.serial for drive in DRIVES)


def alive(site: Site, pid: int) -> bool:
    """Whether it still runs."""
    return site.run(f"kill -0 {pid}").rc == 0


def holders(site: Site, path: str) -> set[int]:
    """Pids of a reply with processes."""
    processes = site.get(path)["processes"]
    for process in processes:
        assert set(process) == fields.PROCESS
    pids = [process["pid"] for process in processes]
    assert len(set(pids)) == len(pids)
    return set(pids)


def check_busy(site: Site, path: str, pool: Pool, pid: int) -> None:
    """The reply the app opens its dialog on, and nothing changed."""
    answer = site.refused("DELETE", path, status=409, code="POOL_BUSY")
    assert answer["busy"] is True
    assert "target is busy" in answer["error"]["message"]
    assert str(pid) in answer["error"]["details"] and "sleep" in answer["error"]["details"]
    pool.check_ready()


@pytest.mark.parametrize(
    "how",
    [
        "cd {path} && exec sleep 1000",
        "exec sleep 1000 > {path}/open",
        "exec 3< {path} && rm -f {path}/open && exec sleep 1000",
    ],
)
def test_unmount_and_kill(site: Site, backend: Backend, how: str) -> None:
    pool = site.made(ONE, TWO, **backend.options())
    pid = occupy(pool, how)
    check_busy(site, f"{pool.url}/mount", pool, pid)
    check_busy(site, pool.url, pool, pid)
    encoded = pool.path.replace("/", "%2F")
    for path in (pool.url, f"/mounts/{encoded}", f"/mounts{pool.path}"):
        assert pid in holders(site, f"{path}/processes")
    assert pid in holders(site, f"/mounts/{encoded}")
    assert pid in {p["pid"] for p in site.get(f"/drives/{ONE}/status")["processes"]}

    body = {"poolGroupGuid": pool.guid, "pids": sorted(holders(site, f"{pool.url}/processes"))}
    answer = site.done("POST", "/processes/kill", {**body, "action": "UnmountPool"})
    assert set(answer) == {"success", "commandOutputs"}
    assert not alive(site, pid)
    assert pool.state() == "unmounted" and not pool.mounted()
    again = site.done("POST", "/processes/kill", {**body, "action": "unmountpool"})
    assert again["success"] is True, "already unmounted counts as done"
    pool.delete()
    pool.check_gone()


def test_kill_and_delete(site: Site, backend: Backend) -> None:
    """One that ignores SIGTERM falls to SIGKILL; then the pool is torn down."""
    pool = site.made(ONE, TWO, **backend.options())
    pid = occupy(pool, 'cd {path} && trap "" TERM && exec sleep 1000')
    pids = sorted(holders(site, f"{pool.url}/processes"))
    assert pid in pids
    body: dict[str, Any] = {"poolGroupGuid": pool.guid, "pids": pids, "action": "RemovePoolGroup"}
    site.done("POST", "/processes/kill", body)
    assert not alive(site, pid) and pool.state() == "deleted"
    pool.check_gone()


def test_strangers_are_spared(site: Site, backend: Backend) -> None:
    """One pid that does not hold the pool, and nobody is signalled."""
    pool = site.made(ONE, TWO, **backend.options())
    pid = occupy(pool)
    stranger = occupy(pool, "cd / && exec sleep 1000")
    body: dict[str, Any] = {"poolGroupGuid": pool.guid, "pids": [pid, stranger]}
    for action in ({}, {"action": "UnmountPool"}):
        site.refused("POST", "/processes/kill", {**body, **action}, status=409, code="CONFLICT")
    for pids in ([1], [stranger]):
        wrong = {**body, "pids": pids}
        site.refused("POST", "/processes/kill", wrong, status=409, code="CONFLICT")
    assert alive(site, pid) and alive(site, stranger)
    site.done("POST", "/processes/kill", {**body, "pids": [pid]})
    assert not alive(site, pid) and pool.state() == "ready", "without an action it stays mounted"
    site.done("POST", "/processes/kill", {**body, "pids": [pid], "action": "UnmountPool"})
    assert pool.state() == "unmounted"
    bad = {**body, "pids": [], "action": "Explode"}
    site.refused("POST", "/processes/kill", bad, status=400, code="VALIDATION_ERROR")
    site.output(f"kill -9 {stranger}")
    pool.delete()
    pool.check_gone()


_KEEP = "(setsid unshare -m --propagation {how} sleep 1000 >/dev/null 2>&1 & echo $!); sleep 0.5"


@dataclass(frozen=True)
class Obstacle:
    """A holder of a pool: how to add and remove it, and the words that a refusal must contain."""

    make: str
    end: str
    named: str


WITHOUT_PROCESS = (
    Obstacle(
        "mkdir -p {m}/inner && mount -t tmpfs inner {m}/inner", "umount {m}/inner", "{m}/inner"
    ),
    Obstacle(
        "truncate -s 4M {m}/image && losetup -f {m}/image",
        "losetup -d $(losetup -nO NAME -j {m}/image)",
        "/dev/loop",
    ),
    Obstacle(
        "dd if=/dev/zero of={m}/swap bs=1M count=4 status=none && chmod 600 {m}/swap"
        " && mkswap -q {m}/swap && swapon {m}/swap",
        "swapoff {m}/swap",
        "swap file {m}/swap",
    ),
    Obstacle(
        "mkdir -p /run/bound && mount --bind {m} /run/bound", "umount /run/bound", "/run/bound"
    ),
    Obstacle("mount -t tmpfs cover {parent}", "umount {parent}", "cover is mounted at {parent}"),
)


def kept_apart(pool: Pool, how: str = "private") -> int:
    """A process that keeps the pool's mount in a mount namespace of its own, as a container."""
    return int(pool.site.output(_KEEP.format(how=how)))


def check_named(site: Site, pool: Pool, named: str) -> None:
    """Unmount and delete are refused, name what holds the pool, and change nothing."""
    mounts = "cat /proc/self/mounts /proc/swaps /proc/mdstat | grep -v '^rootfs'"
    before = site.output(mounts)
    for path in (f"{pool.url}/mount", pool.url):
        answer = site.refused("DELETE", path, status=409, code="POOL_BUSY")
        assert answer["busy"] is True and "target is busy" in answer["error"]["message"]
        assert named in answer["error"]["details"], answer
    assert site.output(mounts) == before


def test_whatever_holds_it_is_named_before_anything_changes(site: Site, backend: Backend) -> None:
    """Mounts, files that the kernel itself keeps, and containers."""
    parent = "/srv/parent"
    site.output(f"mkdir -p {parent}")
    pool = site.made(ONE, TWO, **backend.options(), mountPath=f"{parent}/pool")
    words = {"m": pool.path, "parent": parent}
    for obstacle in WITHOUT_PROCESS:
        made = site.run(obstacle.make.format_map(words))
        if made.rc:  # a FUSE filesystem takes no swap file
            assert "swap" in obstacle.make and backend.name == "zfs", made
            continue
        check_named(site, pool, obstacle.named.format_map(words))
        assert set(pool.serials) <= set(site.drives()), "its drives are still listed"
        if "cover" in obstacle.make:
            covered = pool.until("error")
            assert f"umount {parent}" in covered["errorMessage"]
            site.refused("POST", f"{pool.url}/mount", {}, status=409, code="CONFLICT")
        site.output(obstacle.end.format_map(words))
        pool.until("ready")
    pid = kept_apart(pool)
    check_named(site, pool, f"sleep (pid {pid})")
    assert pid in holders(site, f"{pool.url}/processes")
    site.output(f"kill {pid}; sleep 0.3")
    slave = kept_apart(pool, "slave")
    pool.unmount()
    site.output(f"kill {slave}")
    pool.mount()
    pool.delete()
    pool.check_gone()
