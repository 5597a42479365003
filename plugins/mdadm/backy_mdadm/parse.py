"""Parse the output of md and mdadm to frozen objects. Pure; garbage never raises."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

_ARRAY_LINE = re.compile(r"^(md\S*) : (\S+)(.*)$")
_LISTED_MEMBER = re.compile(r"(\S+?)\[\d+\]")
_PROGRESS = re.compile(r" = +([\d.]+)% .*finish=([\d.]+)min")
_WAITING = re.compile(r"resync=(PENDING|DELAYED|REMOTE)")
_FIELD = re.compile(r"^\s*([A-Z][A-Za-z ]+?) : (.*)$")
_ROLE = re.compile(r"(Active|Replacement) device (\d+)")
_COPIES = re.compile(r"(near|far|offset)=(\d+)")
_OLD_ROW = re.compile(r"^\s*(this|\d+)\s+\d+\s+\d+\s+\d+\s+(-?\d+)\s+([a-z ]+)")

_MOST_SLOTS = 4096
"""More than md allows; a damaged number must not become a loop without end."""

_KIB, _SECTOR = 1024, 512

_LISTED_STATES = frozenset(("active", "inactive", "broken"))
"""Words of ``/proc/mdstat``. Linux 6.1 calls a broken array ``active``, 6.12 ``broken``."""

_ARRAY_STATES = frozenset(
    (
        *("clear", "inactive", "suspended", "readonly", "read-auto", "clean", "active"),
        *("write-pending", "active-idle", "broken"),
    )
)
"""Words of ``array_state``, by the kernel's Documentation/admin-guide/md.rst."""

ARRAY_FILES = (
    "uuid",
    "level",
    "layout",
    "raid_disks",
    "metadata_version",
    "array_state",
    "sync_action",
    "component_size",
    "logical_block_size",
)
"""Files of ``/sys/block/mdN/md`` that tell an array's state."""

SECTOR_FILE = "queue/logical_block_size"
"""File of ``/sys/block/mdN``."""

MEMBER_FILES = ("slot", "state", "block/size", "offset", "bad_blocks")
"""Files of ``md/dev-NAME``; ``block/size`` is unreadable once the drive left the machine."""


class Listed(NamedTuple):
    """An array as ``/proc/mdstat`` lists it, by kernel names.

    ``state`` is the word after the colon; None if sysfs was read instead, which tells it elsewhere.
    ``percent`` and ``minutes`` tell how much of a resync is done and how long the rest takes (sysfs
    tells progress in steps of a sixteenth). ``waiting`` is how a resync waits: ``PENDING`` for the
    first write, ``DELAYED`` by another array, ``REMOTE`` on another host.
    """

    name: str
    state: str | None
    members: tuple[str, ...]
    percent: float | None = None
    minutes: float | None = None
    waiting: str | None = None


class KernelMember(NamedTuple):
    """A device the kernel holds in an array."""

    device: str
    slot: int | None
    flags: frozenset[str]
    present: bool
    offset: int | None = None
    """Bytes before its part of the array."""
    bad_blocks: bool = False
    """The kernel uses it although it refused to read or write some blocks."""


class KernelArray(NamedTuple):
    """An array the kernel knows, running or not."""

    listed: Listed
    uuid: str | None
    level: str | None
    layout: int
    slots: int
    metadata: str
    state: str
    action: str
    members: tuple[KernelMember, ...]
    component: int | None = None
    """Bytes each member gives to the array; None for levels that use all of each."""
    sector: int | None = None
    """Logical sector size of its device."""
    block_size: int | None = None
    """What the kernel records as that, 0 for nothing; None: this kernel records none."""

    @property
    def name(self) -> str:
        return self.listed.name

    @property
    def running(self) -> bool:
        """An inactive array holds its drives but gives no data."""
        return self.state not in ("inactive", "clear", "")

    @property
    def broken(self) -> bool:
        """Too many members failed for it to take writes. The kernel keeps the last one in sync,
        and only stopping and assembling the array makes it writable again."""
        return "broken" in (self.listed.state, self.state)

    @property
    def with_bad_blocks(self) -> tuple[str, ...]:
        """Devices in use that refused to read or write some blocks."""
        return tuple(member.device for member in self.members if member.bad_blocks)

    @property
    def doubt(self) -> str | None:
        """Why this array's state is unknown, as a sentence; None if it is known."""
        if not self.state:
            return f"The state of the array {self.name} cannot be read."
        if self.listed.state is not None and self.listed.state not in _LISTED_STATES:
            return _unknown(self.name, self.listed.state)
        return None if self.state in _ARRAY_STATES else _unknown(self.name, self.state)

    @property
    def member_size(self) -> int | None:
        """Bytes that a member needs: its component and what lies before it. Members may differ in
        that: the least will do."""
        offsets = [member.offset for member in self.members if member.offset is not None]
        return self.component + min(offsets) if self.component and offsets else None

    @property
    def external(self) -> bool:
        """A firmware RAID (IMSM, DDF) whose metadata the kernel does not keep itself."""
        return self.metadata.startswith("external:")


class Superblock(NamedTuple):
    """One member's own view, by ``mdadm --examine``.

    ``view`` has a letter per slot: ``A`` active, ``R`` being replaced, ``.`` missing. ``role``
    is the slot, None for a spare. ``recovering``: its rebuild never finished. ``updated`` is in
    the host's time zone. ``layout`` is md's number for a raid10, 0 for other levels. Not ``clean``:
    there were unfinished writes when it was last written.
    """

    node: str
    uuid: str
    level: str
    slots: int
    events: int
    updated: datetime
    role: int | None
    view: str
    replacement: bool = False
    recovering: bool = False
    layout: int = 0
    clean: bool = True


def parse_mdstat(text: str) -> tuple[Listed, ...]:
    """The arrays in ``/proc/mdstat``."""
    arrays: list[Listed] = []
    for line in text.splitlines():
        if match := _ARRAY_LINE.match(line):
            arrays.append(Listed(match[1], match[2], tuple(_LISTED_MEMBER.findall(match[3]))))
        elif arrays:
            arrays[-1] = _with_sync(arrays[-1], line)
    return tuple(arrays)


def parse_listing(name: str, entries: Iterable[str]) -> Listed:
    """An array from the names in its directory ``md`` of sysfs."""
    members = (entry.removeprefix("dev-") for entry in entries if entry.startswith("dev-"))
    return Listed(name, None, tuple(members))


def parse_array(
    listed: Listed, files: Mapping[str, str | None], members: tuple[KernelMember, ...]
) -> KernelArray:
    """An array from the texts of :data:`ARRAY_FILES` and :data:`SECTOR_FILE`; the kernel leaves
    out what does not apply, and of an inactive array it tells next to nothing."""
    text = {key: (value or "").strip() for key, value in files.items()}
    metadata = text.get("metadata_version", "")
    return KernelArray(
        listed=listed,
        uuid=_kernel_uuid(text.get("uuid", ""), metadata),
        level=text.get("level") or None,
        layout=_number(text.get("layout", "")) or 0,
        slots=_slots(text.get("raid_disks", "")),
        metadata=metadata,
        state=text.get("array_state", ""),
        action=text.get("sync_action", ""),
        members=members,
        component=_times(_KIB, text.get("component_size")),
        sector=_times(1, text.get(SECTOR_FILE)),
        block_size=_number(text.get("logical_block_size", "")),
    )


def parse_member(
    device: str,
    slot: str | None,
    state: str | None,
    size: str | None,
    offset: str | None,
    bad_blocks: str | None,
) -> KernelMember:
    """A member from the texts of :data:`MEMBER_FILES`."""
    flags = frozenset((state or "").strip().split(",")) - {""}
    return KernelMember(
        device=device,
        slot=_number(slot or ""),
        flags=flags,
        present=size is not None,
        offset=_times(_SECTOR, offset),
        # The flag is gone after the next start, and the list stays.
        bad_blocks="faulty" not in flags
        and ("write_error" in flags or bool((bad_blocks or "").strip())),
    )


def parse_examine(text: str) -> tuple[Superblock, ...]:
    """Every readable superblock in the output of ``mdadm --examine`` on one or more nodes."""
    blocks = (_superblock(node, lines) for node, lines in _sections(text))
    return tuple(block for block in blocks if block)


def complaint(stderr: str, node: str) -> str | None:
    """mdadm's complaint about this node."""
    lines = (line.strip().removeprefix("mdadm: ").rstrip(".") for line in stderr.splitlines())
    return next((line for line in lines if re.search(rf"{re.escape(node)}(?![\w/])", line)), None)


def dashed(uuid: str) -> str | None:
    """mdadm's or sysfs' text of a UUID as a dashed lower-case GUID; None if it is none."""
    digits = re.sub(r"[:-]", "", uuid.strip().split(" ")[0]).lower()
    if not re.fullmatch(r"[0-9a-f]{32}", digits) or not digits.strip("0"):
        return None
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _unknown(name: str, state: str) -> str:
    return f"The kernel reports array {name} as {state!r}, a state unknown to Backy."


def _with_sync(array: Listed, line: str) -> Listed:
    if done := _PROGRESS.search(line):
        return array._replace(percent=_decimal(done[1]), minutes=_decimal(done[2]))
    if waits := _WAITING.search(line):
        return array._replace(waiting=waits[1])
    return array


def container_of(array: KernelArray) -> str | None:
    """The container of a firmware RAID volume: ``md127`` of ``external:/md127/0``; None for any
    other array."""
    _, external, place = array.metadata.partition("external:/")
    return place.partition("/")[0] if external else None


def _kernel_uuid(text: str, metadata: str) -> str | None:
    uuid = dashed(text)
    if uuid is None or metadata not in ("0.90", "0.91"):
        return uuid
    # Version 0 superblocks keep four host-endian words: sysfs prints bytes, mdadm words.
    words = bytes.fromhex(uuid.replace("-", ""))
    return dashed(b"".join(words[at : at + 4][::-1] for at in range(0, 16, 4)).hex())


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    node, lines = "", list[str]()
    for line in text.splitlines():
        if line.startswith("/dev/") and line.rstrip().endswith(":"):
            if node:
                yield node, lines
            node, lines = line.rstrip()[:-1], []
        else:
            lines.append(line)
    if node:
        yield node, lines


def _superblock(node: str, lines: list[str]) -> Superblock | None:
    fields = {match[1]: match[2].strip() for match in map(_FIELD.match, lines) if match}
    uuid = dashed(fields.get("Array UUID") or fields.get("UUID") or "")
    # Version 0 prints its 64-bit counter as two halves, "0.18".
    events = _number(fields.get("Events", "").rpartition(".")[2])
    # The kernel takes none with a wrong checksum ("1234abcd - expected 5678ef01").
    if uuid is None or events is None or "expected" in fields.get("Checksum", ""):
        return None
    role = _ROLE.search(fields.get("Device Role", ""))
    old_role, old_view = _old_table(lines)
    return Superblock(
        node=node,
        uuid=uuid,
        level=fields.get("Raid Level", "unknown"),
        slots=_slots(fields.get("Raid Devices", "")),
        events=events,
        updated=_time(fields.get("Update Time", "")),
        role=int(role[2]) if role else old_role,
        view=fields.get("Array State", "").split(" ")[0] or old_view,
        replacement=role is not None and role[1] == "Replacement",
        recovering="Recovery Offset" in fields,
        layout=_layout(fields.get("Layout", "")),
        clean="active" not in fields.get("State", "").split(),
    )


def _layout(text: str) -> int:
    """``near=2`` or ``far=2`` of a raid10, as the kernel counts them."""
    copies = {how: int(count) for how, count in _COPIES.findall(text)}
    far = copies.get("far") or copies.get("offset") or 1
    return copies.get("near", 1) | far << 8 if copies else 0


def _old_table(lines: list[str]) -> tuple[int | None, str]:
    """Role and view from the table of members that ends a version 0 superblock."""
    rows = [match for match in map(_OLD_ROW.match, lines) if match]
    role = next((int(row[2]) for row in rows if row[1] == "this" and "active" in row[3]), None)
    states = {int(row[2]): row[3] for row in rows if row[1] != "this"}
    view = ("A" if "active" in states[slot] else "." for slot in sorted(states) if slot >= 0)
    return role, "".join(view)


def _time(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%a %b %d %H:%M:%S %Y")
    except ValueError:
        return datetime.min


def _times(unit: int, text: str | None) -> int | None:
    """The number in a file of sysfs; 0 is none."""
    return (_number(text or "") or 0) * unit or None


def _slots(text: str) -> int:
    return min(_number(text) or 0, _MOST_SLOTS)


def _decimal(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _number(text: str) -> int | None:
    """The leading number, as in ``4 (3)`` while an array is being reshaped; None for ``none``."""
    match = re.match(r"\s*(\d+)", text)
    return int(match[1]) if match else None
