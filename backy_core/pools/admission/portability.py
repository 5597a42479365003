"""Determine which systems can open a pool, when it is made and mounted, and explain why this one
cannot."""

from __future__ import annotations

import errno
from functools import partial
from typing import NamedTuple

from backy_core.operations import filesystems
from backy_core.pools.core import Core
from backy_core.sdk.errors import BackyError, SystemFailure
from backy_core.sdk.models import BackendInfo, PoolReport, PoolSpec, Requirement
from backy_core.sdk.plan import BackendPlan
from backy_core.store.metadata import PoolEntry
from backy_core.store.opens_on import OpensOn, lacking, opens_on, sentence, writable
from backy_core.system.exec import CommandFailed
from backy_core.system.libmount import MountFailed
from backy_core.system.machine import Machine

_READ_S = 5.0
_NOT_UNDERSTOOD = (errno.EINVAL, errno.EOPNOTSUPP, errno.EROFS)
"""What mount(2) answers for a filesystem with a feature that the kernel lacks."""


def planned(core: Core, backend: str, pool: PoolSpec, draft: BackendPlan) -> OpensOn | None:
    """Predict what a new pool will open on; None if only the finished pool can show it."""
    if pool.portability == "native":
        return None
    info = core.host.backends[backend].info
    needed = writable(core.machine.kernel.running(), draft.requires)
    return opens_on(_oldest(info, pool.filesystem), needed, ())


class Compatibility(NamedTuple):
    """Requirements found in a pool, and the parts that could be checked."""

    opens_on: OpensOn | None
    """None: nothing could be looked at."""
    requirements: tuple[Requirement, ...]
    running: str
    """The Linux of this machine."""

    def why_not_here(self, name: str) -> str | None:
        """Why this machine's kernel is too old for the pool, before anyone tries; None: it is not,
        as far as was checked."""
        lacked = lacking(self.running, self.requirements)
        return sentence(self.running, name, lacked) if lacked else None


async def look(
    core: Core,
    backend: str,
    report: PoolReport | None,
    device: str | None,
    filesystem: str | None,
) -> Compatibility:
    """By the backend's report, and by the superblock of the filesystem on ``device``."""
    info = core.host.backends[backend].info
    requirements: list[Requirement] = []
    checked = []
    if report is not None and report.requires is not None:
        requirements += report.requires
        checked.append(f"{backend} metadata")
    features = await _features(core.machine, info, device, filesystem)
    if features is not None:
        requirements += features
        checked.append(f"{filesystem} superblock")
    needed = opens_on(_oldest(info, filesystem), requirements, checked) if checked else None
    return Compatibility(needed, tuple(requirements), core.machine.kernel.running())


async def seen(
    core: Core, entry: PoolEntry, report: PoolReport | None, device: str | None
) -> OpensOn | None:
    """What a created or mounted pool opens on; None if none of its parts could be read."""
    return (await look(core, entry.backend, report, device, entry.filesystem)).opens_on


async def explained(
    core: Core,
    entry: PoolEntry,
    error: BackyError,
    report: PoolReport,
    device: str | None = None,
) -> BackyError:
    """The error of a failed open; one that names what this machine lacks, if that is the cause.
    ``device`` has the filesystem that was to be mounted."""
    cause = error.__cause__
    running = core.machine.kernel.running()
    lacked = [*lacking(running, report.requires or ())]
    if isinstance(cause, CommandFailed):
        output = f"{cause.outcome.stdout}\n{cause.outcome.stderr}"
        lacked += await core.host.explain(entry.backend, output)
    if isinstance(cause, MountFailed) and cause.errno in _NOT_UNDERSTOOD:
        info = core.host.backends[entry.backend].info
        features = await _features(core.machine, info, device, entry.filesystem) or ()
        unknown = (feature for feature in features if feature.kernel is None)
        lacked += (*lacking(running, features), *unknown)
    if not lacked or not isinstance(error, SystemFailure):
        return error
    explanation = sentence(running, entry.title, lacked)
    return SystemFailure(explanation, details=str(error), hint="Open it on a newer system")


async def _features(
    machine: Machine, info: BackendInfo, device: str | None, filesystem: str | None
) -> tuple[Requirement, ...] | None:
    """Of the filesystem on a pool's block device; None: nothing can be said of it."""
    if info.delivers != "block" or device is None or filesystem is None:
        return None
    read = partial(machine.contents.read_features, f"/dev/{device}", filesystem)
    try:
        return await machine.threads.in_thread(read, f"read {device}", _READ_S)
    except (OSError, TimeoutError):
        return None


def _oldest(info: BackendInfo, filesystem: str | None) -> dict[str, str]:
    """Versions, on the oldest supported system, of the packages that the pool needs."""
    tools = {tool.package: tool.oldest for tool in info.tools if tool.oldest}
    if info.delivers == "block" and filesystem and filesystems.is_known(filesystem):
        filesystem_kind = filesystems.known(filesystem)
        tools[filesystem_kind.package] = filesystem_kind.oldest
    return tools
