"""Look at every imported zpool and every label on a drive; change nothing.

``zpool status`` says what is imported and how it fares, ``zdb -l`` on each stamped device which
member of which pool it is: labels alone tie a device to a member under whatever name, and are all
there is of an exported pool. On a machine without either no process is started.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from backy_core.sdk.models import (
    Health,
    MemberReport,
    MemberState,
    PoolReport,
    Probe,
)
from backy_zfs import argv, parse
from backy_zfs.parse import Child, Imported, Label, Row

SIGNATURE = "zfs_member"
_KERNEL_POOLS = "/proc/spl/kstat/zfs"
_DESTROYED = 2
_LOST = frozenset(("FAULTED", "UNAVAIL", "SUSPENDED"))


@dataclass(frozen=True)
class _Stamped:
    """A device that bears a pool's label. ``label`` is None where ``zdb`` cannot read it."""

    device: str
    label: Label | None


async def look(probe: Probe) -> tuple[PoolReport, ...]:
    """A report for every zpool, imported or only stamped on drives."""
    stamps = {s.device: s for s in probe.signatures if s.type == SIGNATURE and s.uuid}
    if not stamps and not await _may_have_imported(probe):
        return ()
    imported, stamped = await asyncio.gather(
        _imported(probe), asyncio.gather(*(_stamped(probe, device) for device in stamps))
    )
    running = {pool.name: pool for pool in imported}
    reports = []
    for name in sorted(running.keys() | {stamp.label or "" for stamp in stamps.values()}):
        own = [each for each in stamped if stamps[each.device].label == name]
        uuid = next((stamps[each.device].uuid for each in own), None)
        if name in running:
            reports.append(_running(running[name], own, uuid))
        elif report := _resting(name, own, uuid or ""):
            reports.append(report)
    return tuple(reports)


async def _may_have_imported(probe: Probe) -> bool:
    """Whether pools may be imported though no drive bears a label: theirs may all be gone."""
    if any("." not in name for name in await probe.listdir(_KERNEL_POOLS)):
        return True
    (mounts,) = await probe.read("/proc/self/mountinfo")
    return " - fuse.zfs " in (mounts or "")


async def _imported(probe: Probe) -> tuple[Imported, ...]:
    """None while the module is not loaded, or zfs-fuse does not run: then nothing can be."""
    outcome = await probe.run(*argv.STATUS)
    return parse.parse_status(outcome.stdout)


async def _stamped(probe: Probe, device: str) -> _Stamped:
    outcome = await probe.run(*argv.LABEL, f"/dev/{device}")
    return _Stamped(device, parse.parse_label(outcome.stdout))


def _running(pool: Imported, stamped: Sequence[_Stamped], uuid: str | None) -> PoolReport:
    children = {
        child.guid: child for each in stamped if each.label for child in each.label.children
    }
    members = [_member(slot, row, stamped, children) for slot, row in enumerate(pool.rows)]
    placed = {member.device for member in members}
    strays = (
        MemberReport(device=each.device, state="stale")
        for each in stamped
        if each.device not in placed
    )
    percent, minutes = parse.progress(pool.scan) if " in progress" in pool.scan else (None, None)
    guid = argv.guid_of(pool.name)
    return PoolReport(
        native_id=guid or uuid or pool.name,
        guid=guid,
        name=pool.name,
        level=_level(pool, stamped),
        presence="active",
        health=_health(pool),
        degraded=pool.state != "ONLINE",
        source=pool.name,
        expected_members=sum("spares" not in row.within for row in pool.rows),
        members=(*members, *strays),
        sync_percent=percent,
        sync_minutes=minutes,
        detail=pool.status or None,
    )


def _member(
    slot: int, row: Row, stamped: Sequence[_Stamped], children: dict[str, Child]
) -> MemberReport:
    """A row of the configuration with the device that bears its label, if that is there."""
    names = row.known_as
    child = next(
        (c for c in children.values() if c.guid in names or parse.short(c.path) in names), None
    )
    device = next(
        (e.device for e in stamped if child and e.label and e.label.guid == child.guid), None
    )
    return MemberReport(
        device=device,
        slot=slot,
        state=_state(row, device is not None),
        handle=child.guid if child else None,
    )


def _state(row: Row, here: bool) -> MemberState:
    """Without a daemon that looks after it, ZFS leaves a member out that has come back."""
    if row.state in ("AVAIL", "INUSE"):
        return "spare"
    if row.state == "FAULTED":
        return "failed" if here else "missing"
    if row.state not in ("ONLINE", "DEGRADED"):
        return "stale" if here else "missing"
    if "resilvering" in row.note:
        return "rebuilding"
    replacing = any(each.startswith("replacing") for each in row.within)
    return "rebuilding" if replacing and row.last else "active"


def _health(pool: Imported) -> Health:
    if pool.state in _LOST:
        return "failed"
    if "resilver in progress" in pool.scan:
        return "recovering"
    if pool.state != "ONLINE":
        return "degraded"
    return "check" if "scrub in progress" in pool.scan else "active"


def _resting(name: str, stamped: Sequence[_Stamped], uuid: str) -> PoolReport | None:
    """A pool that is not imported, by its labels. What is left of a destroyed one of someone
    else's is nobody's pool; of ours it is reported until it is wiped."""
    labels = [each.label for each in stamped if each.label]
    guid = argv.guid_of(name)
    if guid is None and (not labels or all(label.state == _DESTROYED for label in labels)):
        return None
    members = tuple(_resting_members(stamped))
    good = sum(member.state == "active" for member in members)
    return PoolReport(
        native_id=guid or uuid,
        guid=guid,
        name=name,
        level=_level(None, stamped),
        presence="stopped",
        health="inactive",
        degraded=good < len(members) or not labels,
        expected_members=max(len(members), 1),
        members=members,
        detail=_told(labels),
    )


def _resting_members(stamped: Sequence[_Stamped]) -> Iterable[MemberReport]:
    """Members by the newest label of each top-level vdev, and slots for vdevs that left none."""
    newest: dict[int, Label] = {}
    for each in stamped:
        if each.label and each.label.txg >= newest.get(each.label.top_id, each.label).txg:
            newest[each.label.top_id] = each.label
    here = {each.label.guid: each for each in stamped if each.label}
    placed: set[str] = set()
    for _, judge in sorted(newest.items()):
        for child in judge.children:
            found = here.get(child.guid)
            placed.add(found.device if found else "")
            yield MemberReport(
                device=found.device if found else None,
                state=_standing(child, found, judge),
                handle=child.guid,
            )
    tops = max((label.tops for label in newest.values()), default=0)
    for _ in range(tops - len(newest)):
        yield MemberReport(device=None, state="missing")
    for each in stamped:
        if each.device not in placed:
            yield MemberReport(device=each.device, state="stale")


def _standing(child: Child, found: _Stamped | None, judge: Label) -> MemberState:
    """``failed`` is one that is away and was out already when the pool was used last."""
    if found is None or found.label is None:
        return "failed" if child.out else "missing"
    return "stale" if found.label.txg < judge.txg or child.out else "active"


def _level(pool: Imported | None, stamped: Sequence[_Stamped]) -> str:
    """By the labels, else by the names of the vdevs; ``raidz`` alone is zfs-fuse's raidz1."""
    label = next((each.label for each in stamped if each.label), None)
    vdevs = [row.within[0] for row in pool.rows if row.within] if pool else []
    kind = label.top_type if label else (vdevs[0].partition("-")[0] if vdevs else "disk")
    if kind in ("disk", "file", "replacing"):
        tops = label.tops if label else sum(not row.within for row in pool.rows) if pool else 1
        return "stripe" if tops > 1 else "single"
    return "raidz1" if kind == "raidz" else kind


def _told(labels: Sequence[Label]) -> str | None:
    if any(label.state == _DESTROYED for label in labels):
        return "It was destroyed, but its drives were not wiped."
    return None if labels else "What its members say cannot be read."
