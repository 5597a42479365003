"""Guards of drives and mount paths that are about to be used. They read and change nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from backy_core.config.settings import Settings
from backy_core.machine import inventory
from backy_core.machine.inventory import Drive
from backy_core.machine.snapshot import Snapshot
from backy_core.pools.admission import drives
from backy_core.pools.core import Core
from backy_core.pools.views import Creation
from backy_core.sdk.errors import (
    BackyError,
    Conflict,
    DriveInUse,
    InvalidRequest,
    SystemFailure,
)
from backy_core.sdk.models import PoolReport
from backy_core.store.metadata import PoolEntry

T = TypeVar("T")

_LOOK_S = 10.0
_PASSING_S = 0.5
"""A program that only closes what it wrote is gone by then."""


class KnownPools(NamedTuple):
    """The remembered pools as guards ask about them."""

    labels: dict[str, str]
    """The label of its pool by member serial."""
    guids: dict[str, str]
    """The GUID of its pool by member serial."""
    by_native_id: dict[str, str]
    """The GUID by native id."""


def known_pools(core: Core, *, but: str | None = None) -> KnownPools:
    """Every remembered pool; ``but``: the GUID of one whose members get no label."""
    pools = KnownPools({}, {}, {})
    for entry in core.metadata.entries():
        report = core.find_report(entry)
        serials = (*entry.drive_serials, *entry.members_in(report))
        pools.guids.update(dict.fromkeys(serials, entry.guid))
        if report is not None:
            pools.by_native_id[report.native_id] = entry.guid
        if entry.guid != but:
            pools.labels.update(dict.fromkeys(serials, entry.title))
    return pools


def nodes_of(core: Core, serials: Collection[str]) -> list[str]:
    """Nodes to probe again: a cached result is not good enough before writing."""
    return [
        name
        for drive in core.observer.snapshot.drives
        if drive.id.serial in serials
        for name in inventory.names_of(drive.device)
    ]


def unavailable(
    core: Core,
    drive: Drive,
    snapshot: Snapshot,
    *,
    pools: KnownPools,
    operation: str | None = None,
    consent: bool = False,
    joining: PoolReport | None = None,
    releasing: frozenset[str] | None = None,
) -> BackyError | None:
    """Why ``drive`` may not be taken (by ``operation``); None if it may.

    ``consent``: what is on it may be wiped. ``joining``: the pool it is to be added to.
    ``releasing``: GUIDs of the interrupted pools that quarantine it, and which then count neither
    as a reason nor as pools.
    """
    return drives.unavailable_because(
        drive,
        snapshot,
        pools=pools.labels,
        claimed=core.registry.claims.claimed_drives(other_than=operation),
        quarantined=core.quarantined() if releasing is None else core.journal.doubtful,
        protected=core.protection.serials(),
        allow_signatures=consent or core.settings.wipe_policy == "always",
        deleted=frozenset(
            guid
            for guid in (*(stone.guid for stone in core.tombstones.entries()), *(releasing or ()))
            if core.metadata.get(guid) is None
        ),
        known_pools=pools.by_native_id,
        joining=joining,
        pool_guid=pools.guids.get,
    )


async def refuse_writers(core: Core, found: Iterable[Drive]) -> None:
    """Raise :class:`DriveInUse` for a drive that a program has open for writing.

    Check twice: a program may just be closing it.
    """
    for drive in found:
        names = frozenset(inventory.names_of(drive.device))
        numbers = [device.majmin for device in drive.device.walk() if device.name in names]
        if await core.machine.processes.raw_writers(numbers):
            await core.clock.sleep(_PASSING_S)
            if writers := await core.machine.processes.raw_writers(numbers):
                raise DriveInUse(
                    f"Drive {drive.id.serial} is open for writing in another program",
                    details=", ".join(map(str, writers)),
                    hint="End that program, or make it release the drive",
                )


async def missing_directories(
    core: Core, path: str, snapshot: Snapshot, guid: str
) -> tuple[str, ...]:
    """:func:`check_mount_path` off the event loop."""
    return await _asked(core, partial(check_mount_path, core, path, snapshot, guid), path)


async def refuse_place(core: Core, path: str) -> None:
    """Of where a pool is mounted already: as for one to be mounted there."""

    def check() -> None:
        refuse_outside(core.settings, path)
        refuse_own_directories(core.settings, path)

    await _asked(core, check, path)


async def _asked(core: Core, check: Callable[[], T], path: str) -> T:
    """The path may lie on a disk that hangs."""
    try:
        return await core.machine.threads.in_thread(check, f"look at {path}", _LOOK_S)
    except TimeoutError as error:
        raise SystemFailure(f"Mount path {path} does not answer") from error


def check_mount_path(core: Core, path: str, snapshot: Snapshot, guid: str) -> tuple[str, ...]:
    """The missing directories of a mount path that may be used, deepest first."""
    directories = core.machine.directories
    refuse_outside(core.settings, path)
    refuse_own_directories(core.settings, path)
    _refuse_if_taken(core, path, snapshot, guid)
    try:
        missing = directories.missing_directories(path)
        empty = bool(missing) or directories.is_empty(path)
    except SystemFailure as error:
        raise InvalidRequest(
            f"Mount path {path} cannot be used: {error.message}",
            details=error.details,
            hint=error.hint,
        ) from error
    if not empty:
        raise InvalidRequest(
            f"Mount path {path} is not empty", hint="Choose an empty or a new directory"
        )
    return missing


def refuse_outside(settings: Settings, path: str) -> None:
    """Pools are mounted below the directories that are set aside for it, and nowhere else."""
    if not any(root in Path(path).parents for root in settings.mount_roots):
        allowed = ", ".join(map(str, settings.mount_roots))
        raise InvalidRequest(
            f"Mount path {path} is not below {allowed}",
            hint=f"Choose one below {settings.mount_root}, or add a directory to the setting "
            "mount_roots",
        )


def refuse_own_directories(settings: Settings, path: str) -> None:
    """Nothing is mounted over the agent's own files, nor inside them, under whatever name: links
    are resolved, and a bind mount's directories are those of its origin."""
    mount, ours = Path(path), _places(Path(path))
    for own in settings.own_directories:
        real = own.resolve()
        theirs = _places(real)
        named = any(
            mount == candidate or mount in candidate.parents or candidate in mount.parents
            for candidate in (own, real)
        )
        same = _place(real) in ours or _place(mount) in theirs
        if named or same:
            raise InvalidRequest(
                f"Mount path {path} covers, or lies in, the agent's own directory {own}",
                hint=f"Use one below {settings.mount_root}",
            )


def _places(path: Path) -> frozenset[tuple[int, int]]:
    """Of a directory and those above it, as far as they are there: device and inode number."""
    return frozenset(place for directory in (path, *path.parents) if (place := _place(directory)))


def _place(path: Path) -> tuple[int, int] | None:
    try:
        info = path.stat()
    except OSError:
        return None
    return info.st_dev, info.st_ino


def _refuse_if_taken(core: Core, path: str, snapshot: Snapshot, guid: str) -> None:
    if snapshot.mount_at(path) is not None:
        raise Conflict(f"Something is already mounted at {path}")
    for entry in core.metadata.entries():
        if entry.guid != guid and _overlaps(entry, path):
            raise Conflict(
                f"Mount path {path} belongs to pool {entry.title}",
                hint="Choose another path",
            )


def _overlaps(entry: PoolEntry, path: str) -> bool:
    other_path = entry.last_mount_path
    return other_path is not None and (
        path == other_path or path.startswith(other_path + "/") or other_path.startswith(path + "/")
    )


def check_tools(core: Core, creation: Creation, filesystem_program: tuple[str, str] | None) -> None:
    """Raise :class:`SystemFailure` naming the first missing program and its package."""
    tools = (
        *core.host.backends[creation.backend].missing_tools(),
        *core.host.layers.missing_tools(creation.layers),
    )
    missing = [(tool.name, tool.package) for tool in tools]
    if filesystem_program and not core.machine.programs.installed(filesystem_program[0]):
        missing.append(filesystem_program)
    if missing:
        program, package = missing[0]
        raise SystemFailure(
            f"{program} is not installed", hint=f"Install it: apt-get install {package}"
        )
