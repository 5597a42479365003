"""What ``zpool status`` and ``zdb -l`` print, as frozen data. Pure; garbage gives less, never
an error.

``zpool status`` is read as text because that is the one form that every version has: OpenZFS
before 2.3 has no JSON, zfs-fuse not even ``-p``. Its layout has been the same since 2009.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_FIELD = re.compile(r" {0,10}([a-z]+): ?(.*)")
_ROW = re.compile(r"\t( *)(\S+)(?: +([A-Z]+)\b(.*))?$")
_WAS = re.compile(r"was (/\S+)")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)% done")
_CLOCK = re.compile(r"(?:(\d+) days )?(\d+):(\d\d):(\d\d) to go")
_OLD_CLOCK = re.compile(r"(\d+)h(\d+)m to go")
_LABEL_LINE = re.compile(r"( *)(\w+(?:\[\d+\])?):(?: (.*))?$")
_ASIDE = frozenset(("spares", "logs", "cache", "special", "dedup"))
_OUT = ("not_present", "offline", "removed", "faulted")


@dataclass(frozen=True)
class Row:
    """One leaf of the configuration: a member. ``name`` is a path, its last part, or a guid."""

    name: str
    state: str
    note: str
    """What follows the error counters: ``(resilvering)``, ``was /dev/…``, a reason."""
    within: tuple[str, ...]
    """The vdevs above it, outermost first: ``mirror-0``, ``replacing-1``; ``spares``."""
    last: bool
    """The last one below its vdev: of a ``replacing`` pair the new one."""

    @property
    def known_as(self) -> frozenset[str]:
        """Every name it may be found under."""
        was = _WAS.search(self.note)
        return frozenset(map(short, (self.name, was[1] if was else self.name)))


@dataclass(frozen=True)
class Imported:
    """An imported zpool. ``status`` is the tool's sentence where something is wrong."""

    name: str
    state: str
    status: str
    scan: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Child:
    """A leaf as a label describes it. ``out``: it was not in use when the label was written."""

    guid: str
    path: str
    out: bool = False


@dataclass(frozen=True)
class Label:
    """What a member says of its own top-level vdev.

    ``state``: 0 in use, 1 exported, 2 destroyed. All members of a vdev that are in use are
    written with the same ``txg``, so one with a lower one was left behind.
    """

    txg: int
    state: int
    tops: int
    top_id: int
    top_type: str
    children: tuple[Child, ...]


def short(name: str) -> str:
    """A member's name without directories and without the partition ZFS makes on a drive."""
    return re.sub(r"-part\d+$", "", name.rpartition("/")[2])


def row_names(path: str) -> frozenset[str]:
    """What ``zpool status`` may call the member of this path: without the partition that ZFS
    made, or as it is if somebody gave it a partition."""
    name = path.rpartition("/")[2]
    whole = re.sub(r"^((?:sd|vd|xvd|hd)[a-z]+)\d+$|^(nvme\d+n\d+|mmcblk\d+)p\d+$", r"\1\2", name)
    return frozenset((name, short(name), whole))


def parse_ids(text: str) -> dict[str, str]:
    """A zpool's own guid by its name."""
    rows = (line.split("\t") for line in text.splitlines())
    return {row[0]: row[1] for row in rows if len(row) == 2 and row[1].isdigit()}


def progress(scan: str) -> tuple[float | None, float | None]:
    """Percent done and minutes to go of a running scrub or resilver."""
    percent = _PERCENT.search(scan)
    if new := _CLOCK.search(scan):
        days, hours, minutes, seconds = (int(each or 0) for each in new.groups())
        left: float | None = (days * 24 + hours) * 60 + minutes + seconds / 60
    else:
        old = _OLD_CLOCK.search(scan)
        left = int(old[1]) * 60.0 + int(old[2]) if old else None
    return (min(float(percent[1]), 100.0) if percent else None), left


def parse_status(text: str) -> tuple[Imported, ...]:
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
        state=fields.get("state", ""),
        status=fields.get("status", ""),
        # zfs-fuse calls it "scrub", whichever it is.
        scan=fields.get("scan", fields.get("scrub", "")),
        rows=tuple(_leaves(table[2:])),  # below the heading and the pool itself
    )


def _leaves(table: list[tuple[int, str, str, str]]) -> Iterator[Row]:
    above: list[tuple[int, str]] = []
    for number, (depth, name, state, rest) in enumerate(table):
        while above and above[-1][0] >= depth:
            above.pop()
        following = table[number + 1][0] if number + 1 < len(table) else -1
        if following > depth or (name in _ASIDE and not state):
            above.append((depth, name))
            continue
        note = re.sub(r"^( +[\d.]+[KMGTPE]?){3}", "", rest).strip()
        within = tuple(each for _, each in above)
        yield Row(name, state, note, within, following < depth)


def parse_label(text: str) -> Label | None:
    """The first copy of the label that can be read; a member carries four alike."""
    for copy in re.split(r"^-+\nLABEL \d.*\n-+\n", text, flags=re.MULTILINE)[1:] or [text]:
        if label := _label(copy):
            return label
    return None


def _label(text: str) -> Label | None:
    values = dict(_flat(text))
    try:
        return Label(
            txg=int(values["txg"]),
            state=int(values["state"]),
            tops=int(values.get("vdev_children", "1")),
            top_id=int(values.get("vdev_tree.id", "0")),
            top_type=values["vdev_tree.type"] + values.get("vdev_tree.nparity", ""),
            children=tuple(_children(values)),
        )
    except (KeyError, ValueError):
        return None


def _flat(text: str) -> Iterator[tuple[str, str]]:
    """``vdev_tree.children[0].guid`` and its value, for each line of the indented outline."""
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        found = _LABEL_LINE.match(line)
        if not found:
            continue
        depth, name, value = len(found[1]), found[2], found[3]
        while above and above[-1][0] >= depth:
            above.pop()
        path = ".".join((*(each for _, each in above), name))
        if value is None or value == "":
            above.append((depth, name))
        else:
            yield path, value.strip().strip("'")


def _children(values: dict[str, str]) -> Iterator[Child]:
    """Leaves in order; those of a running replacement too."""
    leaves = [
        path.removesuffix(".guid")
        for path in values
        if path.endswith(".guid") and path.startswith("vdev_tree")
    ]
    for at in leaves:
        if f"{at}.path" in values:
            out = any(values.get(f"{at}.{flag}") == "1" for flag in _OUT)
            yield Child(values[f"{at}.guid"], values[f"{at}.path"], out)
