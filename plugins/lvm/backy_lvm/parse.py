"""LVM's reports: the command that asks for one, and its text as frozen objects. Pure.

Missing columns never raise.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from backy_lvm.config import config

REPORT = ("lvm", "fullreport")
_COLUMNS = {
    "vg": "vg_uuid,vg_name,vg_tags,vg_exported,vg_extent_size",
    "pv": "pv_uuid,pv_name,pv_missing,pv_in_use,pe_start",
    "lv": "lv_uuid,lv_name,lv_attr,lv_active,lv_kernel_minor,sync_percent,raid_sync_action,"
    "lv_health_status,lv_image_synced",
    "pvseg": "pv_uuid,lv_uuid,pvseg_size",
    "seg": "lv_uuid,segtype",
}
_FORM = config(
    report='compact_output=0 compact_output_cols="" buffered=1 headings=1 prefixes=0 quoted=1'
    ' columns_as_rows=0 binary_values_as_numeric=0 mark_hidden_devices=1 list_item_separator=","'
    ' two_word_unknown_device=0 pvs_sort_full="pv_name" lvs_sort_full="vg_name,lv_name"',
    log='verbose=0 prefix="  " command_names=0',
)

_MISMATCH = re.compile(r"Scanning (/dev/\S+) mda\d+ found mismatch")
_FAILED_SCAN = re.compile(r"scanning /dev/(\S+) mda\d+ failed to read metadata")
_IMAGE = re.compile(r"_rimage_(\d+)$")
_MOST_MINORS = 1 << 20
_JSON_BEGINS = tuple('{}[],"')
Row = dict[str, str]


class Member(NamedTuple):
    """A physical volume. ``missing``: it is not there, or was not when the group was changed.
    ``start``: bytes before its first extent; ``used``: extents that volumes lie on."""

    uuid: str
    node: str
    missing: bool
    start: int | None = None
    used: int | None = None


class Volume(NamedTuple):
    """A logical volume; ``hidden`` ones are parts of another. ``members`` are PV UUIDs."""

    name: str
    hidden: bool
    active: bool
    device: str | None
    segment: str
    members: frozenset[str]
    percent: float | None
    action: str
    trouble: str
    synced: bool
    odd: str = ""
    """LVM's word for how active it is, where that is neither active nor inactive."""
    unsynced: bool = False
    """Made without copying (``--nosync``): its images never held the same."""

    @property
    def slot(self) -> int | None:
        """The number of this image in its RAID volume."""
        match = _IMAGE.search(self.name)
        return int(match[1]) if match and self.hidden else None


class Group(NamedTuple):
    """A volume group. ``extent``: bytes of each."""

    uuid: str
    name: str
    tags: frozenset[str]
    exported: bool
    members: tuple[Member, ...]
    volumes: tuple[Volume, ...]
    extent: int | None = None
    impostor: bool = False
    """It bears the name of a pool that another group is."""

    @property
    def member_size(self) -> int | None:
        """Bytes a drive needs to hold what the fullest member does."""
        starts = [member.start for member in self.members if member.start]
        used = [member.used for member in self.members if member.used]
        return max(starts) + max(used) * self.extent if starts and used and self.extent else None

    @property
    def visible(self) -> tuple[Volume, ...]:
        return tuple(volume for volume in self.volumes if not volume.hidden)

    def images(self, volume: Volume) -> tuple[Volume, ...]:
        """The images of a RAID volume by slot."""
        images = (
            image for image in self.volumes if image.name.startswith(f"{volume.name}_rimage_")
        )
        return tuple(
            sorted(
                (image for image in images if image.slot is not None),
                key=lambda image: image.slot or 0,
            )
        )


def report_command(nodes: Sequence[str]) -> tuple[str, ...]:
    """Everything LVM knows of these nodes, hidden volumes included, as JSON in one process."""
    columns = [word for name in _COLUMNS for word in ("--configreport", name, "-o", _COLUMNS[name])]
    devices = ("--devices", ",".join(nodes), "--config", _FORM)
    form = ("--reportformat", "json", "--units", "b", "--nosuffix")
    return (*REPORT, *devices, "--all", *form, *columns)


def parse_report(text: str) -> tuple[Group, ...]:
    """The volume groups in the output of ``lvm fullreport``. Raises ValueError for other text."""
    groups = (_group(section) for section in _sections(text))
    return tuple(group for group in groups if group)


def parse_unused(text: str) -> frozenset[str]:
    """UUIDs of physical volumes that belong to no volume group, by their own word. Of one whose
    group cannot be read, which LVM lists with them, the label says that it is in use."""
    without_group = (section for section in _sections(text) if not _rows(section, "vg"))
    return frozenset(
        row["pv_uuid"]
        for section in without_group
        for row in _rows(section, "pv", "pv_uuid")
        if not _flag(row, "pv_in_use")
    )


def failed_scans(stderr: str) -> frozenset[str]:
    """Kernel names of devices with metadata that LVM found and could not read."""
    return frozenset(_FAILED_SCAN.findall(stderr))


def complaint(stderr: str, device: str) -> str | None:
    """The first thing LVM says of this device, else of a group that it will not open."""
    lines = [line.strip().removeprefix("WARNING: ").rstrip(".") for line in stderr.splitlines()]
    named = (line for line in lines if re.search(rf"/dev/{re.escape(device)}(?![\w/])", line))
    return next(named, None) or next(
        (line for line in lines if line.startswith("Cannot access")), None
    )


def _sections(text: str) -> list[dict[str, Any]]:
    """One for each volume group, and one for physical volumes without."""
    # LVM prints some messages ("Retrying metadata scan.") in the midst of its JSON.
    kept = (line for line in text.splitlines() if line.lstrip()[:1] in _JSON_BEGINS)
    document = json.loads("\n".join(kept))
    sections = document.get("report") if isinstance(document, dict) else None
    if not isinstance(sections, list):
        raise ValueError("the output has no report")
    return [section for section in sections if isinstance(section, dict)]


def mismatched(stderr: str) -> frozenset[str]:
    """Nodes whose metadata has the others' sequence number but different content: both halves were
    changed separately. LVM warns and picks one of them."""
    return frozenset(_MISMATCH.findall(stderr))


def _group(section: dict[str, Any]) -> Group | None:
    row = next(iter(_rows(section, "vg")), {})
    if not row.get("vg_uuid"):
        return None
    segments = {seg["lv_uuid"]: seg.get("segtype", "") for seg in _rows(section, "seg", "lv_uuid")}
    on: dict[str, set[str]] = {}
    used: dict[str, int] = {}
    for part in _rows(section, "pvseg", "lv_uuid", "pv_uuid"):
        on.setdefault(part["lv_uuid"], set()).add(part["pv_uuid"])
        size = _number(part.get("pvseg_size", "")) or 0
        used[part["pv_uuid"]] = used.get(part["pv_uuid"], 0) + size
    return Group(
        uuid=row["vg_uuid"],
        name=row.get("vg_name", ""),
        tags=frozenset(row.get("vg_tags", "").split(",")) - {""},
        exported=_flag(row, "vg_exported"),
        members=tuple(
            _member(pv, used.get(pv["pv_uuid"])) for pv in _rows(section, "pv", "pv_uuid")
        ),
        volumes=tuple(
            _volume(lv, segments.get(lv["lv_uuid"], ""), on.get(lv["lv_uuid"], set()))
            for lv in _rows(section, "lv", "lv_uuid")
        ),
        extent=_number(row.get("vg_extent_size", "")),
    )


def _member(row: Row, used: int | None) -> Member:
    return Member(
        uuid=row["pv_uuid"],
        node=row.get("pv_name", ""),
        missing=_flag(row, "pv_missing"),
        start=_number(row.get("pe_start", "")),
        used=used or None,
    )


def _volume(row: Row, segment: str, members: set[str]) -> Volume:
    name = row.get("lv_name", "")
    activity = row.get("lv_active", "")
    minor = row.get("lv_kernel_minor", "")
    numeric = minor.isascii() and minor.isdecimal() and len(minor) < 8 and int(minor) < _MOST_MINORS
    return Volume(
        name=name.strip("[]"),
        hidden=name.startswith("["),
        active=activity == "active",
        device=f"dm-{int(minor)}" if numeric else None,
        segment=segment,
        members=frozenset(members),
        percent=_percent(row.get("sync_percent", "")),
        action=row.get("raid_sync_action", ""),
        trouble=row.get("lv_health_status", ""),
        synced=_flag(row, "lv_image_synced"),
        odd=activity if activity not in ("", "active") else "",
        unsynced=row.get("lv_attr", "")[:1] in ("R", "M"),
    )


def _rows(section: dict[str, Any], kind: str, *needed: str) -> list[Row]:
    """Rows that have the ``needed`` columns, in order."""
    listed = section.get(kind)
    rows = [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []
    texts = [{key: value for key, value in row.items() if isinstance(value, str)} for row in rows]
    return [row for row in texts if all(row.get(column) for column in needed)]


def _number(text: str) -> int | None:
    """A whole number of bytes or extents; None for anything else, as for a size with a unit."""
    return int(text) if re.fullmatch(r"\d{1,20}", text, re.ASCII) else None


def _flag(row: Row, column: str) -> bool:
    """A word for yes and nothing for no; or, by a setting of the host's, a digit."""
    return row.get(column, "") not in ("", "0")


def _percent(text: str) -> float | None:
    match = re.fullmatch(r"\d{1,3}(\.\d{1,4})?", text, re.ASCII)
    return min(float(text), 100.0) if match else None
