"""The whole life of a pool, for each level and filesystem of each backend."""

import pytest

from ..lab.drives import Drive, numbered
from . import fields
from .backends import Backend, Shape
from .site import Pool, Site

SMALL = [drive.serial for drive in numbered(5)]
LARGE = ["large1", "large2"]
DRIVES = [*numbered(5, 96 << 20), *(Drive(serial, 400 << 20) for serial in LARGE)]
NEED_ROOM = ("xfs", "btrfs")
"""300 MB at least, and somewhat over 100."""


def test_life(site: Site, backend: Backend, shape: Shape) -> None:
    serials = (LARGE if shape.filesystem in NEED_ROOM else SMALL)[: shape.drives]
    pool = site.create(*serials, **backend.options(shape))
    _check_while_creating(pool)
    pool.until("ready")
    pool.check_ready()
    _check_what_was_made(pool, backend, shape)
    written = pool.write()

    _check_unmount(pool, backend)
    assert set(pool.mount()) == fields.MOUNT
    pool.check_ready()
    assert pool.read() == written

    answer = pool.delete()
    assert set(answer) == fields.DELETE
    assert (answer["busy"], answer["state"]) == (False, "deleted")
    assert backend.leftovers(site) == ""
    pool.check_gone()
    _check_the_guid_is_used_up(pool)


def _check_while_creating(pool: Pool) -> None:
    detail = pool.detail()
    if detail["state"] == "creating":
        assert detail == {"state": "creating", "poolStatus": None, "drives": []}
        assert pool.guid not in pool.site.metadata() or pool.state() == "ready"
    listed = pool.listed()
    assert listed is not None
    fields.check_listed(listed)
    assert [drive["serial"] for drive in listed["drives"]] == pool.serials
    assert listed["driveCount"] == len(pool.serials)
    assert {drive["label"] for drive in listed["drives"]} == {f"{s}-label" for s in pool.serials}


def _check_what_was_made(pool: Pool, backend: Backend, shape: Shape) -> None:
    detail, site = pool.detail(), pool.site
    asked = (backend.name, shape.level, shape.filesystem, pool.request["label"])
    assert tuple(detail[key] for key in ("backend", "level", "filesystem", "label")) == asked
    assert [drive["label"] for drive in detail["drives"]] == [f"{s}-label" for s in pool.serials]
    assert detail["poolStatus"] in {"active", *fields.SYNCING}
    seen = site.look()
    for serial in pool.serials:
        assert backend.member in seen.drives[serial]
    found = site.output(f"findmnt -no FSTYPE,OPTIONS {pool.path}")
    assert found.split()[0].removeprefix("fuse.") == shape.filesystem
    assert {"nosuid", "nodev"} <= set(found.split()[1].split(","))
    printed = site.output(f"df -B1 --output=size,used,avail,pcent {pool.path} | tail -n 1").split()
    size = site.get(f"/mounts/{pool.path.replace('/', '%2F')}/size")
    assert set(size) == {"size", "used", "available", "usePercent"}
    shown = [str(size[key]) for key in ("size", "used", "available", "usePercent")]
    assert shown == printed
    outputs = pool.outputs()
    made_by = backend.making.replace("ext4", shape.filesystem)
    assert any(line.startswith(f"$ {made_by}") for line in outputs), outputs


def _check_unmount(pool: Pool, backend: Backend) -> None:
    answer = pool.unmount()
    assert set(answer) == fields.UNMOUNT
    assert (answer["busy"], answer["state"]) == (False, "unmounted")
    detail = pool.detail()
    fields.check_standing(detail)
    assert (detail["state"], detail["mountPath"]) == ("unmounted", pool.path)
    sizes = [detail[key] for key in ("size", "used", "available", "usePercent", "poolId")]
    assert sizes == [0, 0, 0, "0%", None]
    assert not pool.mounted() and backend.leftovers(pool.site) == ""
    assert pool.site.metadata()[pool.guid]["isMounted"] is False
    assert not any(drive["available"] for drive in _drives_of(pool))


def _drives_of(pool: Pool) -> list[dict[str, object]]:
    drives = pool.site.drives()
    return [drives[serial] for serial in pool.serials]


def _check_the_guid_is_used_up(pool: Pool) -> None:
    assert pool.detail() == {"state": "deleted", "poolStatus": None, "drives": []}
    pool.site.refused("POST", "/pools", pool.request, status=409, code="CONFLICT")
    assert set(pool.delete()) == fields.DELETE, "a repeat within the retention time is done"


@pytest.mark.parametrize("count", [2])
def test_dry_run_changes_nothing(site: Site, backend: Backend, count: int) -> None:
    pool = Pool.plan(site, SMALL[:count], **backend.options())
    reply = site.call("POST", "/pools?dryRun=true", pool.request)
    assert reply.status_code == 200, reply.text
    plan = reply.json()
    assert set(plan) == {"success", "plan"}
    assert set(plan["plan"]) == {"steps", "portability", "opensOn"}
    for step in plan["plan"]["steps"]:
        assert set(step) == {"title", "command", "undo", "effect"}
    commands = "\n".join(step["command"] for step in plan["plan"]["steps"])
    for serial in pool.serials:
        assert site.node(serial) in commands or serial in commands
    site.refused("GET", pool.url, status=404, code="NOT_FOUND")
    pool.check_gone()
