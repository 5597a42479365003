"""Invariants of machine and agent, true after every act."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from tests.fakes.agent import Bench
from tests.fakes.model import Disk, Volume

_STATES = {"ready", "unmounted", "error", "failed", "deleted", "creating"}


@dataclass
class Promises:
    """The agent's promises to its callers, by GUID."""

    data: dict[str, Volume] = field(default_factory=dict)
    """Pools that were ready, and what was written to them."""
    forgotten: set[str] = field(default_factory=set)
    """Pools that somebody asked to forget: they may run for nobody, to be imported."""
    harmed: set[str] = field(default_factory=set)
    """Pools that lost a drive, perhaps while they ran: they may lack what takes force to open."""
    untidy: bool = False
    """No directory can be removed at the moment, which is only told."""
    at_rest: bool = False
    """Nothing is broken any more, so that everything must work."""

    def ready(self, guid: str, volume: Volume) -> None:
        volume.files.append(f"data of {guid}")
        self.data[guid] = volume

    def doomed(self, guid: str) -> Volume | None:
        """Somebody asks to delete it. Returns its data, for :meth:`spared`."""
        if self.untidy:
            self.forgotten.add(guid)
        return self.data.pop(guid, None)

    def spared(self, guid: str, data: Volume | None) -> None:
        """The request was refused, so nothing may ever come of it."""
        if data is not None:
            self.data[guid] = data


async def check(bench: Bench, promises: Promises) -> None:
    """Raises :class:`AssertionError`."""
    assert not bench.machine.refused, bench.machine.refused
    _no_drive_in_two_pools(bench)
    _no_data_lost(bench, promises)
    _nothing_runs_for_nobody(bench, promises)
    await _every_state_is_one_of_the_contract(bench)
    await _every_free_drive_is_offered_or_explained(bench)
    if promises.at_rest:
        await _everything_works(bench, promises)


def _drives(bench: Bench) -> tuple[Disk, ...]:
    return (*bench.machine.disks.values(), *bench.machine.shelf.values())


def _members(bench: Bench, guid: str) -> list[Disk]:
    return [d for d in _drives(bench) if d.superblock is not None and d.superblock.uuid == guid]


def _no_drive_in_two_pools(bench: Bench) -> None:
    members = sorted(s for entry in bench.remembered.values() for s in entry.drive_serials)
    twice = [serial for serial, following in pairwise(members) if serial == following]
    assert not twice, f"drives of two pools: {twice}"


def _no_data_lost(bench: Bench, promises: Promises) -> None:
    for guid, volume in promises.data.items():
        assert f"data of {guid}" in volume.files and volume.content, f"{guid} was made anew"
        assert _members(bench, guid), f"no drive of pool {guid} is left"


def _nothing_runs_for_nobody(bench: Bench, promises: Promises) -> None:
    owned = _accounted_for(bench, promises)
    strays = [array.uuid for array in bench.machine.arrays.values() if array.uuid not in owned]
    assert not strays, f"arrays of no pool: {strays}"
    running = set(bench.machine.arrays)
    hanging = [m.path for m in bench.machine.mounts if m.device not in running]
    assert not hanging, f"mounts of nothing: {hanging}"


def _accounted_for(bench: Bench, promises: Promises) -> set[str]:
    """Pools that are known, half-way, deleted while drives were absent, or left to be imported."""
    core = bench.agent.pools._core
    pending = {entry.opened.plan.pool.guid for entry in core.pending.values()}
    pending |= {entry.opened.plan.pool.guid for entry in core.unwritten}
    buried = {tombstone.guid for tombstone in core.tombstones.entries()}
    return {*bench.remembered, *pending, *buried, *promises.forgotten}


async def _every_state_is_one_of_the_contract(bench: Bench) -> None:
    for guid in bench.remembered:
        assert await bench.state(guid) in _STATES


async def _every_free_drive_is_offered_or_explained(bench: Bench) -> None:
    owned = {s for entry in bench.remembered.values() for s in entry.drive_serials}
    for listed in await bench.agent.drives_service.list():
        serial = listed.drive.id.serial
        if serial not in owned and bench.machine.disks[serial].blank:
            assert listed.available or listed.unavailable_because, f"{serial} is not offered"


async def _everything_works(bench: Bench, promises: Promises) -> None:
    for guid in promises.data.keys() - promises.forgotten:
        assert guid in bench.remembered, f"pool {guid} is forgotten"
        states = {"ready", "error"} if guid in promises.harmed else {"ready"}
        assert await bench.state(guid) in states, f"pool {guid} does not open"
    owned = _accounted_for(bench, promises)
    strange = [d.serial for d in _drives(bench) if d.superblock and d.superblock.uuid not in owned]
    refused = {s for s in strange if not (await bench.available())[s]}
    assert set(strange) == refused, f"drives of no pool are offered: {strange}"
    owned_names = {name for entry in bench.remembered.values() for name in _names(entry)}
    left = set(bench.directories) - owned_names - promises.forgotten
    assert not left, f"directories of no pool: {left}"


def _names(entry: object) -> set[str]:
    paths = (getattr(entry, "last_mount_path", ""), *getattr(entry, "made_directories", ()))
    return {path.rpartition("/")[2] for path in paths if path}
