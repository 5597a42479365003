"""Members that drop out of a pool and come back, and a failed pool that takes no drive."""

from typing import Any

from .site import Pool


def add(pool: Pool, **body: Any) -> dict[str, Any]:
    """The app's "Force Add"."""
    return pool.site.done("POST", f"{pool.url}/drives/add", body)


def refused_addition(pool: Pool, serial: str, **body: Any) -> str:
    """The refusal's words. No signature of any drive is touched by it."""
    site, wanted = pool.site, {"serial": serial, **body}
    before = site.look().drives
    path = f"{pool.url}/drives/add"
    error = site.refused("POST", path, wanted, status=409, code="CONFLICT")["error"]
    assert site.look().drives == before
    return f"{error['message']}: {error.get('details')}"


def lose_and_return(pool: Pool, *serials: str) -> None:
    """Pulled one after the other under a pool that is written to, and put back."""
    for serial in serials:
        pool.site.guest.unplug(serial)
        pool.site.run(f"date > {pool.path}/noted; sync -f {pool.path}")
    pool.site.plug(*serials)


def check_no_drive_is_taken(pool: Pool, spare: str, *returned: str) -> None:
    """Not the ones that are back, nor another, whatever the caller consents to."""
    pool.until_health("failed")
    for body in ({}, {"wipe": True}):
        for serial in returned:
            assert pool.members()[serial] not in ("diverged", "active")
            assert "has failed" in refused_addition(pool, serial, **body)
        assert pool.url in refused_addition(pool, spare, replaces=returned[0], **body)
