"""Intent to mdadm argument lists. Pure; members are references, never kernel names.

``--run`` answers every question mdadm might ask; the core gives ``/dev/null`` as stdin besides.
``--config=none`` keeps the host's mdadm.conf out: an array it calls ``<ignore>``, the names and
modes it gives to new ones. ``--manage`` does not take it, and asks no configuration.
"""

from __future__ import annotations

from collections.abc import Sequence

from backy_core.sdk.models import DriveId
from backy_core.sdk.plan import Arg, DriveRef, PoolDevice
from backy_mdadm.naming import NO_CONFIG, array_name


def array_uuid(identity: str) -> str:
    """A GUID in mdadm's own form, four groups of eight hex digits."""
    digits = identity.replace("-", "").lower()
    return ":".join(digits[at : at + 8] for at in range(0, 32, 8))


def create(guid: str, level: str, drives: Sequence[DriveId]) -> tuple[Arg, ...]:
    """Make an array whose UUID is the pool's GUID.

    ``--homehost=any`` keeps assembly on another host from renaming it. A bitmap makes the
    return of a member a matter of minutes; mdadm adds one by itself only from 100 GB up.
    mdadm refuses an array of one drive without ``--force``.
    """
    return (
        "mdadm",
        "--create",
        f"/dev/md/{array_name(guid)}",
        NO_CONFIG,
        "--run",
        f"--uuid={array_uuid(guid)}",
        f"--name={array_name(guid)}",
        "--homehost=any",
        "--metadata=1.2",
        f"--level={level}",
        f"--raid-devices={len(drives)}",
        *(("--force",) if len(drives) == 1 else ()),
        *(("--bitmap=internal",) if level != "raid0" else ()),
        *(DriveRef(drive=drive) for drive in drives),
    )


def assemble(
    guid: str,
    identity: str,
    members: Sequence[DriveRef],
    *,
    degraded: bool,
    forced_before: bool = False,
) -> tuple[Arg, ...]:
    """Assemble exactly these members. ``degraded`` starts it though some are missing that
    were active last; without it mdadm leaves such an array inactive and fails.
    ``forced_before``: the newest one calls others failed that were taken by force since, and
    mdadm would leave it out."""
    run = ("--run",) if degraded else ()
    force = ("--force",) if forced_before else ()
    return (*_assemble(guid, identity), *run, *force, *members)


def assemble_by_force(guid: str, identity: str, members: Sequence[DriveRef]) -> tuple[Arg, ...]:
    """Assemble read-only, with as many of these members as are needed, the freshest first. mdadm
    gives those the event count of the newest one and marks the array clean."""
    return (*_assemble(guid, identity), "--force", "--run", "--readonly", *members)


def _assemble(guid: str, identity: str) -> tuple[str, ...]:
    uuid = f"--uuid={array_uuid(identity)}"
    return ("mdadm", "--assemble", f"/dev/md/{array_name(guid)}", NO_CONFIG, uuid)


def stop() -> tuple[Arg, ...]:
    """Stop the pool's array, inactive ones included."""
    return ("mdadm", "--stop", NO_CONFIG, PoolDevice())


def add(drive: DriveId) -> tuple[Arg, ...]:
    """Hand a blank drive to the array: it rebuilds a missing member, or becomes a spare."""
    return ("mdadm", "--manage", PoolDevice(), "--add", DriveRef(drive=drive))


def re_add(member: DriveRef) -> tuple[Arg, ...]:
    """Re-add a stale member; md copies only the blocks in the bitmap."""
    return ("mdadm", "--manage", PoolDevice(), "--re-add", member)


def remove(drive: DriveId) -> tuple[Arg, ...]:
    """Take a spare out of the array; md refuses for a member it uses."""
    return ("mdadm", "--manage", PoolDevice(), "--remove", DriveRef(drive=drive))


def remove_failed() -> tuple[Arg, ...]:
    """Let go of every failed member, also of one that is gone from the machine."""
    return ("mdadm", "--manage", PoolDevice(), "--remove", "failed", "--remove", "detached")


def replace(old: DriveRef, new: DriveId) -> tuple[Arg, ...]:
    """Copy a healthy member to a spare and swap them; redundancy is kept meanwhile."""
    return ("mdadm", "--manage", PoolDevice(), "--replace", old, "--with", DriveRef(drive=new))
