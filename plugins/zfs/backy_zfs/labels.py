"""Parse the label of a member, as ``zdb -l`` prints it, to frozen data. Pure; garbage never
raises. ``zdb`` has no other output format."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_LINE = re.compile(r"( *)(\w+(?:\[\d+\])?):(?: (.*))?$")
_FEATURES = re.compile(r"^ *features_for_read:\n((?: +[\w.-]+:[\w-]+\n)*)", re.MULTILINE)
_FEATURE = re.compile(r"[\w.-]+:[\w-]+")
_OUT = ("not_present", "offline", "removed", "faulted")


class Child(NamedTuple):
    """A leaf as a label describes it. ``out``: it was not in use when the label was written."""

    guid: str
    path: str
    out: bool = False


class Size(NamedTuple):
    """The size of a top-level vdev in a label. ``allocatable``: in bytes, over all of its ``width``
    children; ``partitioned``: OpenZFS made a partition table on a member."""

    allocatable: int
    metaslab_shift: int
    ashift: int
    width: int
    partitioned: bool


class Label(NamedTuple):
    """A member's own description of its top-level vdev.

    ``state``: 0 in use, 1 exported, 2 destroyed. All members of a vdev that are in use are
    written with the same ``txg``, so one with a lower ``txg`` is stale.
    """

    txg: int
    state: int
    tops: int
    top_id: int
    top_type: str
    children: tuple[Child, ...]
    size: Size | None = None
    features: tuple[str, ...] = ()
    """Those without which the pool cannot be read, by their full names."""


def short(name: str) -> str:
    """A member's name without directories and without the partition ZFS makes on a drive."""
    return re.sub(r"-part\d+$", "", name.rpartition("/")[2])


def row_names(path: str) -> frozenset[str]:
    """Names that ``zpool status`` may use for the member at this path: without the partition that
    ZFS made, or unchanged if the zpool was given a partition."""
    name = path.rpartition("/")[2]
    whole = re.sub(r"^((?:sd|vd|xvd|hd)[a-z]+)\d+$|^(nvme\d+n\d+|mmcblk\d+)p\d+$", r"\1\2", name)
    return frozenset((name, short(name), whole))


def behind(label: Label, newest: Label) -> str | None:
    """How much older a member's label is, for people; None: it is not."""
    count = newest.txg - label.txg
    if count <= 0:
        return None
    groups = f"transaction group{'s' * (count > 1)}"
    return f"{count} {groups} behind by its label ({label.txg} of {newest.txg})"


def parse_label(text: str) -> Label | None:
    """The first copy of the label that can be read; a member carries four alike."""
    for copy in re.split(r"^-+\nLABEL \d.*\n-+\n", text, flags=re.MULTILINE)[1:] or [text]:
        if label := _label(copy):
            return label
    return None


def _label(copy: str) -> Label | None:
    values = dict(_flat(copy))
    try:
        return Label(
            txg=int(values["txg"]),
            state=int(values["state"]),
            tops=int(values.get("vdev_children", "1")),
            top_id=int(values.get("vdev_tree.id", "0")),
            top_type=values["vdev_tree.type"] + values.get("vdev_tree.nparity", ""),
            children=tuple(_children(values)),
            size=_size(values),
            features=tuple(_FEATURE.findall(_listed_features(copy))),
        )
    except (KeyError, ValueError):
        return None


def _listed_features(text: str) -> str:
    match = _FEATURES.search(text)
    return match[1] if match else ""


def _size(values: dict[str, str]) -> Size | None:
    """The size in a label; None without these fields, as in a damaged label or a spare's."""
    width = sum(
        re.fullmatch(r"vdev_tree\.children\[\d+\]\.guid", path) is not None for path in values
    )
    try:
        return Size(
            allocatable=int(values["vdev_tree.asize"]),
            metaslab_shift=int(values["vdev_tree.metaslab_shift"]),
            ashift=int(values["vdev_tree.ashift"]),
            width=max(width, 1),
            partitioned=any(
                path.endswith("whole_disk") and value == "1" for path, value in values.items()
            ),
        )
    except (KeyError, ValueError):
        return None


def _flat(text: str) -> Iterator[tuple[str, str]]:
    """``vdev_tree.children[0].guid`` and its value, for each line of the indented outline."""
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if not match:
            continue
        depth, name, value = len(match[1]), match[2], match[3]
        while above and above[-1][0] >= depth:
            above.pop()
        path = ".".join((*(parent for _, parent in above), name))
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
