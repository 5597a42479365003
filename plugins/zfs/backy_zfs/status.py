"""Parse ``zpool``'s output about imported pools to frozen data. Pure; damaged text never raises.

OpenZFS has JSON from 2.3 on. Before, and with zfs-fuse, which lacks even ``-p``, the text of
``zpool status`` is all there is; its layout has been the same since 2009.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from backy_zfs.labels import short

_FIELD = re.compile(r" {0,10}([a-z]+): ?(.*)")
_ROW = re.compile(r"\t( *)(\S+)(?: +([A-Z]+)\b(.*))?\s*$")
_WAS = re.compile(r"was (/\S+)")
_RUNNING = re.compile(r"(scrub|resilver) in progress")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)% done")
_CLOCK = re.compile(r"(?:(\d+) days )?(\d+):(\d\d):(\d\d) to go")
_OLD_CLOCK = re.compile(r"(\d+)h(\d+)m to go")
_ASIDE = ("spares", "logs", "l2cache", "cache", "special", "dedup")


class Row(NamedTuple):
    """One leaf of the configuration: a member."""

    known_as: frozenset[str]
    """Every name it may be found under: its guid, its path's last part, also a former one."""
    state: str
    within: tuple[str, ...]
    """The vdevs above it, outermost first: ``mirror-0``, ``replacing-1``; ``spares``."""
    last: bool
    """The last one below its vdev: of a ``replacing`` pair the new one."""
    guid: str = ""
    """Empty where the text does not tell it."""
    resilvering: bool = False
    """It is being resilvered, or waits for that."""
    failing: bool = False
    """Taken out of use for its errors, whatever its state."""


class Scan(NamedTuple):
    """A scrub or resilver that runs; ``kind`` is empty where none does."""

    kind: str = ""
    percent: float | None = None
    minutes: float | None = None


class Imported(NamedTuple):
    """An imported zpool. ``guid`` is its own, empty where only JSON would tell; ``status`` the
    tool's sentence where something is wrong."""

    name: str
    guid: str
    state: str
    status: str
    scan: Scan
    rows: tuple[Row, ...]


def parse_ids(text: str) -> dict[str, str]:
    """A zpool's own guid by its name."""
    rows = (line.split("\t") for line in text.splitlines())
    return {row[0]: row[1] for row in rows if len(row) == 2 and row[1].isdigit()}


# JSON


class Listed(NamedTuple):
    """The list of ``zpool status``. ``odd``: why an imported pool's entry cannot be read, by its
    name."""

    pools: tuple[Imported, ...]
    odd: Mapping[str, str] = {}


def parse_json(text: str, now: float) -> Listed:
    """Every pool in the output of ``zpool status -j -p``. ``now``: seconds since 1970, for the
    remaining time of a scan. Raises ValueError for other text."""
    try:
        listed = json.loads(text)["pools"].items()
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not what zpool reports: {error!r}") from error
    pools, odd = [], {}
    for name, pool in listed:
        try:
            pools.append(_pool(pool, now))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            odd[name] = f"what zpool reports of {name} cannot be read: {error!r}"
    return Listed(tuple(pools), odd)


def _pool(pool: Mapping[str, Any], now: float) -> Imported:
    (root,) = pool["vdevs"].values()
    scan = _scan(pool.get("scan_stats", {}), now)
    resilver = scan.kind == "resilver"
    rows = [*_members(root["vdevs"], (), resilver)]
    for heading in _ASIDE:
        rows += _members(pool.get(heading, {}), (heading,), resilver)
    return Imported(
        name=pool["name"],
        guid=pool["pool_guid"],
        state=pool["state"],
        status=" ".join(pool.get("status", "").split()),
        scan=scan,
        rows=tuple(rows),
    )


def _members(vdevs: Mapping[str, Any], within: tuple[str, ...], resilver: bool) -> Iterator[Row]:
    """``resilver``: one is running; what members had of the last one stays in their figures. Of a
    member that a drive under the same path replaces, 2.3.2 tells neither guid nor state."""
    for number, vdev in enumerate(vdevs.values(), 1):
        if vdev.get("vdevs"):
            yield from _members(vdev["vdevs"], (*within, vdev["name"]), resilver)
            continue
        guid = vdev.get("guid", "")
        names = (vdev["name"], guid, vdev.get("path", ""), vdev.get("was", ""))
        yield Row(
            known_as=frozenset(map(short, filter(None, names))),
            state=vdev.get("state", ""),
            within=within,
            last=number == len(vdevs),
            guid=guid,
            resilvering=(resilver and "scan_processed" in vdev) or "resilver_deferred" in vdev,
            failing=vdev.get("aux") == "IO_FAILURE",
        )


def _scan(stats: Mapping[str, str], now: float) -> Scan:
    if stats.get("state") != "SCANNING":
        return Scan()
    total = int(stats["to_examine"]) - int(stats["skipped"])
    issued, lately = int(stats["issued"]), int(stats["issued_bytes_per_scan"])
    paused = int(stats["scrub_spent_paused"])
    seconds = now - int(stats["pass_start"]) - paused
    return Scan(
        kind=stats["function"].lower(),
        percent=min(100 * issued / total, 100.0) if total > 0 else None,
        minutes=max(total - issued, 0) / lately * seconds / 60 if lately and seconds > 0 else None,
    )


# text


def parse_text(text: str) -> tuple[Imported, ...]:
    """Every pool that ``zpool status`` lists."""
    parts = re.split(r"^ *pool: ", text, flags=re.MULTILINE)[1:]
    return tuple(_imported(part) for part in parts)


def _imported(part: str) -> Imported:
    name, *lines = part.splitlines()
    fields: dict[str, str] = {}
    current = ""
    table: list[tuple[int, str, str, str]] = []
    for line in lines:
        if current == "config" and (row := _ROW.match(line)):
            table.append((len(row[1]), row[2], row[3] or "", row[4] or ""))
        elif field := _FIELD.match(line):
            current = field[1]
            fields[current] = field[2].strip()
        elif current:
            fields[current] = f"{fields[current]} {line.strip()}".strip()
    return Imported(
        name=name.strip(),
        guid="",
        state=fields.get("state", ""),
        status=" ".join(fields.get("status", "").split()),
        # zfs-fuse calls it "scrub", whichever it is.
        scan=progress(fields.get("scan", fields.get("scrub", ""))),
        rows=tuple(_leaves(table[2:])),  # below the heading and the pool itself
    )


def progress(text: str) -> Scan:
    """The scan's progress, from its line."""
    running = _RUNNING.search(text)
    if running is None:
        return Scan()
    percent = _PERCENT.search(text)
    if new := _CLOCK.search(text):
        days, hours, minutes, seconds = (int(number or 0) for number in new.groups())
        left: float | None = (days * 24 + hours) * 60 + minutes + seconds / 60
    else:
        old = _OLD_CLOCK.search(text)
        left = int(old[1]) * 60.0 + int(old[2]) if old else None
    return Scan(running[1], min(float(percent[1]), 100.0) if percent else None, left)


def _leaves(table: list[tuple[int, str, str, str]]) -> Iterator[Row]:
    above: list[tuple[int, str]] = []
    for number, (depth, name, state, rest) in enumerate(table):
        while above and above[-1][0] >= depth:
            above.pop()
        following = table[number + 1][0] if number + 1 < len(table) else -1
        if following > depth or (name in _ASIDE and not state):
            above.append((depth, name))
            continue
        was = _WAS.search(rest)
        yield Row(
            known_as=frozenset(map(short, (name, was[1] if was else name))),
            state=state,
            within=tuple(parent for _, parent in above),
            last=following < depth,
            resilvering="(resilvering)" in rest or "(awaiting resilver)" in rest,
            failing="I/O failures" in rest,
        )
