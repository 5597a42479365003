"""Read which zpools are imported, and how they fare, without touching a drive."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping

from backy_core.sdk import hookimpl
from backy_core.sdk.errors import SystemFailure
from backy_core.sdk.models import CommandOutcome, Probe
from backy_core.sdk.naming import guid_of
from backy_zfs import queries, status
from backy_zfs.status import Imported

_KERNEL_POOLS = "/proc/spl/kstat/zfs"
_MODULE_VERSION = "/sys/module/zfs/version"
_JSON_SINCE = (2, 3)
_WRONG_USAGE = 2


async def may_exist(probe: Probe) -> bool:
    """Whether the kernel could have pools imported, also ones whose drives are all gone. Of
    zfs-fuse's it knows those that are mounted."""
    if any("." not in name for name in await probe.listdir(_KERNEL_POOLS)):
        return True
    (mounts,) = await probe.read("/proc/self/mountinfo")
    return " - fuse.zfs " in (mounts or "")


async def read(
    probe: Probe, can_be_imported: bool
) -> tuple[tuple[Imported, ...], Mapping[str, str]]:
    """Imported zpools, and why one of them cannot be told of, by name."""
    if await _has_json(probe):
        done = await probe.run(*queries.STATUS, *queries.AS_JSON)
        if done.code == 0:
            try:
                return status.parse_json(done.stdout, time.time())
            except ValueError as error:
                raise SystemFailure("zpool's report cannot be read", details=str(error)) from error
        if done.code != _WRONG_USAGE:  # programs may be older than the module
            raise _silent(done)
    done = await probe.run(*queries.STATUS)
    # It also fails while the module is not loaded or zfs-fuse does not run: then nothing is.
    if done.code != 0 and can_be_imported:
        raise _silent(done)
    return status.parse_text(done.stdout), {}


@hookimpl
async def backy_poll(probe: Probe) -> str:
    """The words of ``zpool status``, which reads no drive; nothing if no pool can be imported."""
    if not await may_exist(probe):
        return ""
    done = await probe.run(*queries.STATUS)
    if done.code != 0:
        raise _silent(done)
    return done.stdout


async def _has_json(probe: Probe) -> bool:
    (version,) = await probe.read(_MODULE_VERSION)
    release = re.match(r"(\d+)\.(\d+)", version or "")
    return release is not None and (int(release[1]), int(release[2])) >= _JSON_SINCE


def _silent(outcome: CommandOutcome) -> SystemFailure:
    return SystemFailure("zpool cannot report its pools", details=outcome.stderr.strip())


async def guids(probe: Probe, imported: Iterable[Imported]) -> dict[str, str]:
    """The guids of imported zpools by name; empty ones where all names are ours."""
    if all(pool.guid or guid_of(pool.name) for pool in imported):
        return {pool.name: pool.guid for pool in imported}
    listed = await probe.run(*queries.IDS)
    if listed.code != 0:
        raise _silent(listed)
    return status.parse_ids(listed.stdout)
