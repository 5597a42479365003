"""Look at every imported zpool and every label on a drive; change nothing.

``zpool status`` says what is imported and how it fares, as JSON where it can; ``zdb -l`` on stamped
devices what their labels tell of each vdev and its members: labels tie a device to a member under
whatever name, and are all there is of an exported pool. On a machine without either no process is
started.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from backy_core.sdk import hookimpl
from backy_core.sdk.errors import SystemFailure
from backy_core.sdk.models import (
    Health,
    MemberReport,
    MemberState,
    PoolReport,
    Probe,
    Signature,
    Unreadable,
)
from backy_core.sdk.naming import guid_of
from backy_core.sdk.scope import Scope
from backy_zfs import features, geometry, imported_pools, queries, rewind
from backy_zfs.datasets import with_others
from backy_zfs.labels import Child, Label, behind, parse_label, row_names
from backy_zfs.module_features import with_features
from backy_zfs.naming import SIGNATURE
from backy_zfs.status import Imported, Row

_DESTROYED = 2
_UNREAD = "its ZFS label cannot be read"
_WELL = frozenset(("ONLINE", "DEGRADED", "AVAIL", "INUSE"))
_LOST = frozenset(("FAULTED", "UNAVAIL", "CANT_OPEN", "SUSPENDED"))
"""JSON says ``CANT_OPEN`` where the text says ``UNAVAIL``."""
_SUSPENDED = "faulted in response to IO failures"
"""zfs-fuse says it in this sentence alone."""


_Key = tuple[str, str]
"""Name and guid of a zpool; the guid is empty for a name that is ours."""


class _Stamped(NamedTuple):
    """A device with a pool's label, and ZFS's names for it: its guid, its drive's links. ``label``
    is None if it is not needed or ``zdb`` cannot read it."""

    device: str
    guid: str | None
    names: frozenset[str]
    label: Label | None
    unread: bool = False
    """``zdb`` was asked, and shows no label."""

    def is_copy_of(self, other: _Stamped) -> bool:
        """The same member on another drive; one at the end of a drive shows on both."""
        pair = sorted((self.device, other.device))
        same_drive = re.fullmatch(rf"{re.escape(pair[0])}(p?\d+)?", pair[1])
        return bool(self.guid) and self.guid == other.guid and not same_drive


@hookimpl
async def backy_inspect(probe: Probe, only: Scope | None) -> Sequence[PoolReport | Unreadable]:
    return await with_features(probe, await with_others(probe, await zpools(probe, only)))


async def zpools(probe: Probe, only: Scope | None = None) -> tuple[PoolReport | Unreadable, ...]:
    """A report for every zpool, imported or only stamped on drives, and each device whose label
    cannot be read; ``only``: of those in it. SystemFailure if pools can be imported and ``zpool``
    fails."""
    stamps = {s.device: s for s in probe.signatures if s.type == SIGNATURE and s.uuid}
    nameless = {s.device for s in probe.signatures if s.type == SIGNATURE} - stamps.keys()
    doubts = [Unreadable(device=name, reason=_UNREAD) for name in sorted(nameless)]
    can_be_imported = await imported_pools.may_exist(probe)
    if not stamps and not can_be_imported:
        return tuple(doubts)
    imported, odd = await imported_pools.read(probe, can_be_imported)
    labels = {stamp.label for stamp in stamps.values()}
    if odd.keys() - labels:  # no device to put it down to
        raise SystemFailure("zpool's report cannot be read", details="; ".join(odd.values()))
    ids = await imported_pools.guids(probe, imported)
    running = {
        _key(pool.name, ids.get(pool.name)): pool
        for pool in imported
        if only is None
        or pool.name in labels
        or only.concerns(guid_of(pool.name) or ids.get(pool.name) or pool.name)
    }
    own: dict[_Key, list[Signature]] = {key: [] for key in running}
    for stamp in stamps.values():
        name = stamp.label or ""
        if name in odd:
            doubts.append(Unreadable(device=stamp.device, reason=odd[name]))
            continue
        key = _key(name, stamp.uuid)
        if _is_stranger(probe, stamp, running.get(key), stamps.values()):
            key = name, stamp.uuid or ""
        own.setdefault(key, []).append(stamp)
    found = await asyncio.gather(
        *(_report(probe, key, running.get(key), own[key]) for key in sorted(own))
    )
    taken = {pool.name for pool in imported}
    reports = (_unless_taken(report, taken) for report, _ in found if report)
    return (*reports, *doubts, *(doubt for _, unread in found for doubt in unread))


def _is_stranger(
    probe: Probe, stamp: Signature, pool: Imported | None, stamps: Iterable[Signature]
) -> bool:
    """Whether this is a member of another zpool with the name of an imported one of ours, judged
    by the devices in use."""
    if pool is None:
        return False
    row_names = {row_name for row in pool.rows for row_name in row.known_as}
    used = {
        signature.uuid
        for signature in stamps
        if signature.label == stamp.label and row_names & _names(probe, signature)
    }
    uuids = {pool.guid} if pool.guid else used
    return bool(uuids) and stamp.uuid not in uuids


def _unless_taken(report: PoolReport, names: Collection[str]) -> PoolReport:
    """The tools know an imported zpool by its name alone, so another one of that name must rest."""
    if report.presence == "active" or report.name not in names:
        return report
    detail = f"Another zpool named {report.name} is imported; export that one first."
    return report.model_copy(update={"usable": False, "detail": detail})


def _key(name: str, uuid: str | None) -> _Key:
    """The key of a zpool: our own names are unique, and known even without a guid; others, such as
    ``tank``, need the guid."""
    return name, "" if guid_of(name) else uuid or ""


async def _report(
    probe: Probe, key: _Key, pool: Imported | None, stamps: Sequence[Signature]
) -> tuple[PoolReport | None, list[Unreadable]]:
    stamped = await _stamped(probe, pool, stamps)
    name, uuid = key
    unread = [Unreadable(device=stamp.device, reason=_UNREAD) for stamp in stamped if stamp.unread]
    if pool:
        return _running(pool, stamped, uuid), unread
    labels = [stamp.label for stamp in stamped if stamp.label]
    return await rewind.with_reason(probe, _resting(name, stamped, uuid), labels), unread


async def _stamped(
    probe: Probe, pool: Imported | None, stamps: Sequence[Signature]
) -> list[_Stamped]:
    """Devices with their labels. Where a pool is whole and all of its members go by a name that is
    known, one label of each top-level vdev tells enough."""
    names = [_names(probe, stamp) for stamp in stamps]
    row_names = frozenset().union(*names)
    rows = pool.rows if pool and pool.state == "ONLINE" else ()
    whole = len(rows) == len(stamps) and all(row.known_as & row_names for row in rows)
    firsts = {row.within[0] if row.within else row.known_as: row.known_as for row in reversed(rows)}
    ambiguous = [not whole or any(name & first for first in firsts.values()) for name in names]
    labels = iter(
        await asyncio.gather(
            *(_label(probe, stamp) for stamp, ask in zip(stamps, ambiguous, strict=True) if ask)
        )
    )
    return [
        _Stamped(stamp.device, stamp.member, its_names, label, ask and label is None)
        for stamp, its_names, ask in zip(stamps, names, ambiguous, strict=True)
        for label in (next(labels) if ask else None,)
    ]


def _names(probe: Probe, stamp: Signature) -> frozenset[str]:
    """Of a drive and its partitions alike."""
    links = (d.links for d in probe.drives if re.fullmatch(rf"{d.name}(p?\d+)?", stamp.device))
    return frozenset(itertools.chain((stamp.member or "",), *links))


async def _label(probe: Probe, stamp: Signature) -> Label | None:
    outcome = await probe.run(*queries.LABEL, f"/dev/{stamp.device}")
    return parse_label(outcome.stdout)


def _running(pool: Imported, stamped: Sequence[_Stamped], uuid: str) -> PoolReport:
    labels = [signature.label for signature in stamped if signature.label]
    children = {child.guid: child for label in labels for child in label.children}
    rows = [_member(slot, row, stamped, children.values()) for slot, row in enumerate(pool.rows)]
    placed = {member.device for member in rows}
    strays = [
        MemberReport(device=signature.device, state="stale")
        for signature in stamped
        if signature.device not in placed
    ]
    members = _marked_diverged([*rows, *strays], stamped)
    lacking = pool.state != "ONLINE" or any(row.state == "missing" for row in rows)
    guid = guid_of(pool.name)
    return PoolReport(
        native_id=guid or uuid or pool.name,
        guid=guid,
        name=pool.name,
        level=_level(pool, stamped),
        presence="active",
        health=_health(pool, rows, lacking),
        degraded=lacking,
        source=pool.name,
        expected_members=sum("spares" not in row.within for row in pool.rows),
        members=tuple(members),
        member_size=geometry.member_size(labels),
        sector_size=geometry.sector_size(labels),
        requires=features.of_labels(labels),
        sync_percent=pool.scan.percent,
        sync_minutes=pool.scan.minutes,
        detail=pool.status or None,
    )


def _member(
    slot: int, row: Row, stamped: Sequence[_Stamped], children: Iterable[Child]
) -> MemberReport:
    """A row of the configuration with the device that has its label, if present. ZFS treats a
    pulled drive as present until it next uses it."""
    names = row.known_as
    child = next((c for c in children if names & {c.guid, *row_names(c.path)}), None)
    guid = child.guid if child else row.guid or None
    stamped_member = next(
        (e for e in stamped if names & e.names or (guid and guid == e.guid)), None
    )
    unseen = child is None and row.state in _WELL  # its label cannot be read
    return MemberReport(
        device=stamped_member.device if stamped_member else None,
        slot=slot,
        state=_state(row) if stamped_member or unseen else "missing",
        # zfs-fuse takes no guid of a member that it shows by its path.
        handle=guid if not stamped_member or guid in names else None,
    )


def _state(row: Row) -> MemberState:
    """Of a member that is here. ZFS leaves one out that has come back, until it is told."""
    if row.state in ("AVAIL", "INUSE"):
        return "spare"
    if row.state == "FAULTED" or row.failing:
        return "failed"
    if row.state not in _WELL:
        return "stale"
    if row.resilvering:
        return "rebuilding"
    replacing = any(each.startswith("replacing") for each in row.within)
    return "rebuilding" if replacing and row.last else "active"


def _marked_diverged(
    members: Sequence[MemberReport], stamped: Sequence[_Stamped]
) -> list[MemberReport]:
    """Mark stale members as diverged if they were used without the members in use now, which their
    own labels then show as offline. Only an import writes that to a label; ZFS itself would copy
    over them. A copy of a member in use counts as diverged too."""
    names = {member.device for member in members if member.in_use}
    used = [stamp for stamp in stamped if stamp.device in names]
    guids = {stamp.guid for stamp in used}
    apart = {
        stamp.device: stamp.guid
        for stamp in stamped
        if (stamp.label and any(c.out and c.guid in guids for c in stamp.label.children))
        or any(stamp.is_copy_of(other) for other in used)
    }
    return [
        # By its guid its place is known also once it is wiped.
        member.model_copy(
            update={"state": "diverged", "handle": member.handle or apart[member.device]}
        )
        if member.state == "stale" and member.device in apart
        else member
        for member in members
    ]


def _health(pool: Imported, rows: Iterable[MemberReport], lacking: bool) -> Health:
    """A member is let go only some time after the resilver of the one that replaces it."""
    if pool.state in _LOST or _SUSPENDED in pool.status:
        return "failed"
    if pool.scan.kind == "resilver" or any(row.state == "rebuilding" for row in rows):
        return "recovering"
    if lacking:
        return "degraded"
    return "check" if pool.scan.kind == "scrub" else "active"


def _resting(name: str, stamped: Sequence[_Stamped], uuid: str) -> PoolReport | None:
    """A pool that is not imported, by its labels. Remains of a destroyed foreign pool are ignored;
    those of our own pools are reported until they are wiped."""
    labels = [stamp.label for stamp in stamped if stamp.label]
    guid = None if uuid else guid_of(name)  # see _is_stranger
    if guid is None and (not labels or all(label.state == _DESTROYED for label in labels)):
        return None
    members = _marked_diverged(tuple(_resting_members(stamped)), stamped)
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
        members=tuple(members),
        requires=features.of_labels(labels),
        detail=_told(labels),
    )


def _resting_members(stamped: Sequence[_Stamped]) -> Iterable[MemberReport]:
    """Members by the newest label of each top-level vdev, and slots for vdevs that left none."""
    newest: dict[int, Label] = {}
    for stamp in stamped:
        if stamp.label and stamp.label.txg >= newest.get(stamp.label.top_id, stamp.label).txg:
            newest[stamp.label.top_id] = stamp.label
    by_guid = {stamp.guid: stamp for stamp in stamped}
    placed: set[str] = set()
    for _, judge in sorted(newest.items()):
        for child in judge.children:
            stamped_child = by_guid.get(child.guid)
            placed.add(stamped_child.device if stamped_child else "")
            yield MemberReport(
                device=stamped_child.device if stamped_child else None,
                state=_standing(child, stamped_child, judge),
                handle=child.guid,
                behind=stamped_child and stamped_child.label and behind(stamped_child.label, judge),
            )
    tops = max((label.tops for label in newest.values()), default=0)
    for _ in range(tops - len(newest)):
        yield MemberReport(device=None, state="missing")
    for stamp in stamped:
        if stamp.device not in placed:
            yield MemberReport(device=stamp.device, state="stale")


def _standing(child: Child, stamp: _Stamped | None, judge: Label) -> MemberState:
    """``failed`` is one that is away and was out already when the pool was used last."""
    if stamp is None or stamp.label is None:
        return "failed" if child.out else "missing"
    return "stale" if stamp.label.txg < judge.txg or child.out else "active"


def _level(pool: Imported | None, stamped: Sequence[_Stamped]) -> str:
    """By the labels, else by the names of the vdevs; ``raidz`` alone is zfs-fuse's raidz1."""
    label = next((stamp.label for stamp in stamped if stamp.label), None)
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
