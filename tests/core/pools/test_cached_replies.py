"""Cached replies equal those made from scratch, whatever changed before."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from backy_core.api.pool_replies import detail_content, list_content
from backy_core.machine.snapshot import Snapshot
from backy_core.pools.drive_service import DriveService
from backy_core.pools.reading import usage
from backy_core.pools.service import PoolService
from backy_core.runtime import Runtime
from backy_core.sdk.models import PoolReport
from backy_core.system.mounts import MountEntry
from backy_core.system.usage import Usage
from tests.bench.many_pools import agent_with, guids

POOLS = 4
CHANGES = 120


class Site:
    """An agent with a few pools, and one random change after the other."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.agent: Runtime = agent_with(POOLS, directory)
        self.core = self.agent._core
        self.first = self.snapshot
        self.chance = random.Random(seed)

    @property
    def snapshot(self) -> Snapshot:
        return self.agent.observer.snapshot

    def show(self, draft: Snapshot) -> None:
        self.agent.observer._board._show(draft)

    @property
    def guid(self) -> str:
        return self.chance.choice(guids(POOLS))

    # changes

    async def change(self) -> None:
        kinds: tuple[Callable[[], object], ...] = (
            *(self.report, self.report, self.report, self.lose, self.shuffle),
            *(self.unmount, self.cover, self.remount, self.unplug, self.restore),
            *(self.problem, self.give_up, self.opening, self.fill, self.look),
        )
        if self.chance.random() < 0.2:
            await self.relabel()
        else:
            self.chance.choice(kinds)()

    @property
    def reports(self) -> list[PoolReport]:
        return list(self.snapshot.reports["mdadm"])

    def show_reports(self, reports: list[PoolReport]) -> None:
        self.show(replace(self.snapshot, reports={"mdadm": tuple(reports)}))

    def report(self) -> None:
        """Another health, progress, device or stamp of one pool."""
        reports = self.reports
        if reports:
            at = self.chance.randrange(len(reports))
            updates = (
                {"sync_percent": self.chance.random() * 100, "health": "resync"},
                {"health": self.chance.choice(["active", "degraded", "failed"])},
                {"device": self.chance.choice(["md0", "md1", "md77", None])},
                {"guid": self.guid},
                {"native_id": self.guid},
                {"presence": "stopped", "device": None},
            )
            reports[at] = reports[at].model_copy(update=self.chance.choice(updates))
            self.show_reports(reports)

    def lose(self) -> None:
        self.show_reports([report for report in self.reports if self.chance.random() < 0.7])

    def shuffle(self) -> None:
        reports = self.reports
        self.chance.shuffle(reports)
        self.show_reports(reports)

    def unmount(self) -> None:
        mounts = [mount for mount in self.snapshot.mounts if self.chance.random() < 0.7]
        self.show(replace(self.snapshot, mounts=tuple(mounts)))

    def cover(self) -> None:
        path = str(self.chance.choice([mount.path for mount in self.first.mounts]))
        cover = MountEntry("0:99", "/", path, frozenset({"rw"}), "tmpfs", "none")
        self.show(replace(self.snapshot, mounts=(*self.snapshot.mounts, cover)))

    def remount(self) -> None:
        """Everything is mounted, some of it read-only."""
        mounts = (
            mount._replace(options=frozenset({self.chance.choice(["ro", "rw"])}))
            for mount in self.first.mounts
        )
        self.show(replace(self.snapshot, mounts=tuple(mounts)))

    def unplug(self) -> None:
        drives = [drive for drive in self.snapshot.drives if self.chance.random() < 0.8]
        self.show(replace(self.snapshot, drives=tuple(drives)))

    def restore(self) -> None:
        self.show(replace(self.first, generation=self.snapshot.generation))

    def problem(self) -> None:
        problems = self.chance.choice([{}, {"mdadm": "it does not answer"}])
        self.show(replace(self.snapshot, problems=problems))

    def give_up(self) -> None:
        given_up = self.chance.choice([{}, {"9:1": "read error"}])
        self.show(replace(self.snapshot, given_up=given_up))

    def opening(self) -> None:
        if self.core.opening:
            self.core.open_errors[self.core.opening.popitem()[0]] = "it was refused"
        else:
            self.core.open_errors.clear()
            self.core.opening[self.guid] = asyncio.Event()

    def fill(self) -> None:
        known = self.agent.pools._usage._known
        for path, (at, now) in known.items():
            known[path] = at, self.chance.choice([now, Usage(9, self.chance.randrange(9), 1)])
        self.agent.pools._measuring._last = self.agent.pools._measuring._last._replace(until=0)

    def look(self) -> None:
        """Nothing changed; all parts are new objects."""
        reports = [report.model_copy() for report in self.reports]
        mounts = tuple(mount._replace() for mount in self.snapshot.mounts)
        draft = replace(self.snapshot, reports={"mdadm": tuple(reports)}, mounts=mounts)
        self.show(draft)

    async def relabel(self) -> None:
        entry = self.core.metadata.get(guid := self.guid)
        if entry is None or self.chance.random() < 0.3:
            self.core.metadata.load()
        elif self.chance.random() < 0.3:
            await self.core.protection.protect(entry.drive_serials[0])
        else:
            label = self.chance.choice(["a", "b"])
            native_id = self.chance.choice([entry.native_id, guid, None])
            fields = {"label": label, "native_id": native_id}
            await self.core.metadata.put(entry.model_copy(update=fields))

    # replies

    async def replies(self, pools: PoolService, drives: DriveService) -> list[object]:
        listed = await pools.list()
        details = [detail_content(await pools.get(view.guid)).body for view in listed]
        return [list_content(listed).body, details, tuple(await drives.list())]

    async def cached(self) -> list[object]:
        return await self.replies(self.agent.pools, self.agent.drives_service)

    async def from_scratch(self) -> list[object]:
        """By services without a past, from a snapshot without indexes."""
        board, shown = self.agent.observer._board, self.snapshot
        board.snapshot = replace(shown)
        pools = PoolService(self.core)
        pools._usage._known = self.agent.pools._usage._known
        try:
            return await self.replies(pools, DriveService(self.core, pools.viewer))
        finally:
            board.snapshot = shown


@pytest.mark.parametrize("seed", range(6))
async def test_cached_replies_are_those_from_scratch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(usage, "_FRESH_S", 3600)
    site = Site(tmp_path, seed)
    for _ in range(CHANGES):
        await site.change()
        if site.chance.random() < 0.7:
            assert await site.cached() == await site.from_scratch()
