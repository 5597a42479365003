"""How a member stands to its array, and what an array's slots amount to. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from backy_core.sdk.levels import named
from backy_core.sdk.models import Health, MemberReport, MemberState
from backy_mdadm.levels import LEVELS, OTHER_LEVELS
from backy_mdadm.parse import KernelArray, KernelMember, Superblock

_WAITING = {
    "PENDING": "The resync starts with the first write.",
    "DELAYED": "The resync waits for another array on the same drives.",
}
_BROKEN = "The kernel no longer writes to this array because too many of its members failed."
_BAD_BLOCKS = (
    "{} refused to read or write some blocks: the data there are less redundant, and may be "
    "outdated. Replace the drive."
)

_ALL_LEVELS = (*LEVELS, *OTHER_LEVELS)
FORCED = "taken by force, which raised its event count"
"""How far behind an active member is that the newest one still calls failed."""


def newest(blocks: Iterable[Superblock]) -> Superblock | None:
    """The member that speaks for the array, as mdadm chooses it: most events, not a spare.

    Halves that ran apart can have counted alike; then the one written last speaks, or, within the
    same second, the one that saw more members go.
    """
    return max(blocks, key=_weight, default=None)


def standing(block: Superblock, judge: Superblock, live: frozenset[int]) -> MemberState:
    """The state of one member, judged by the superblock that stands for the array (``judge``).
    ``live``: slots in use.

    A stale member's superblock still shows one of the live slots as active. A diverged one has
    marked every live slot missing: both sides then hold their own writes, and md, which compares
    only event counts, would merge them without copying. If there is no other live slot to compare,
    a member that has marked any slot missing counts as diverged.
    """
    if block is judge:
        return _good(block)
    if block.events > judge.events:
        return "diverged"
    if block.role is None:
        return "spare"
    missing = {slot for slot, letter in enumerate(block.view) if letter == "."}
    other_slots = live - {block.role}
    if other_slots <= missing and missing - {block.role}:
        return "diverged"
    # mdadm gave it the newest one's count by force, and the array was not written to since.
    if block.events == judge.events:
        return _good(block)
    # mdadm takes a member one event behind as current: a power cut between two writes.
    if block.role not in live or block.events + 1 < judge.events:
        return "stale"
    return _good(block)


def behind(block: Superblock, judge: Superblock) -> str | None:
    """How far a member is behind the one that speaks for the array, for people."""
    count = judge.events - block.events
    if count <= 0:
        return None
    events = f"{count} event{'s' * (count > 1)} behind ({block.events} of {judge.events})"
    if block.updated == datetime.min:
        return events
    return f"{events}, last written {block.updated.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def live_slots(block: Superblock) -> frozenset[int]:
    """The slots this member saw in use when it was last written."""
    return frozenset(slot for slot, letter in enumerate(block.view) if letter in "AR")


def kernel_standing(member: KernelMember) -> MemberState:
    """A member of a running array, by its sysfs files."""
    if not member.present:
        return "missing"
    if "faulty" in member.flags:
        return "failed"
    if "journal" in member.flags:
        return "active"
    if member.slot is None:
        return "spare"
    return "active" if "in_sync" in member.flags else "rebuilding"


def with_missing(
    members: Sequence[MemberReport], slots: int, judge: Superblock | None = None
) -> tuple[MemberReport, ...]:
    """Add an entry for each slot that no member listed here accounts for: a failed one has lost its
    slot number but is the reason for an empty one. Its state is ``missing``, or ``failed`` if
    ``judge``, by which a stopped array is judged, shows the slot empty already."""
    taken = {member.slot for member in members if member.slot is not None}
    empty = [slot for slot in range(slots) if slot not in taken]
    unplaced = sum(
        member.state in ("failed", "missing") for member in members if member.slot is None
    )
    live = live_slots(judge) if judge else frozenset(empty)
    lost = (
        MemberReport(device=None, slot=slot, state="missing" if slot in live else "failed")
        for slot in empty[unplaced:]
    )
    return tuple(sorted((*members, *lost), key=_order))


def needs_force(judge: Superblock, members: Sequence[MemberReport]) -> str | None:
    """Why a stopped array does not start without force, where force would start it."""
    good = _slots(members, "active")
    if not _suffice(judge, good):
        if not _suffice(judge, good | _slots(members, "stale")):
            return None
        verb = "is" if len(good) == 1 else "are"
        return f"Only {len(good)} of its {judge.slots} members {verb} up to date"
    if named(_ALL_LEVELS, judge.level).parity and not judge.clean and len(good) < judge.slots:
        return "It was being written to when it stopped, and not all of its members are up to date"
    return None


def survives(name: str, layout: int, slots: int, working: Iterable[int]) -> bool:
    """Whether the working slots of a level still hold all data. ``layout`` is md's number for
    raid10: near copies in the low byte, far copies in the next."""
    level, near = named(_ALL_LEVELS, name), None
    if name == "raid10":
        near = layout & 0xFF or 2
        level = level.model_copy(update={"copies": near * (layout >> 8 & 0xFF or 1)})
    return level.survives(slots, frozenset(working), near=near)


def _slots(members: Iterable[MemberReport], state: MemberState) -> frozenset[int]:
    return frozenset(
        member.slot for member in members if member.slot is not None and member.state == state
    )


def _suffice(judge: Superblock, slots: frozenset[int]) -> bool:
    return survives(judge.level, judge.layout, judge.slots, slots)


def health(array: KernelArray, *, failed: bool, degraded: bool, rebuilding: bool) -> Health:
    """One word for a running array, the gravest first. An unfinished rebuild or resync counts
    though it waits (auto-read-only, frozen, delayed). raid5 is built by a recovery."""
    if failed:
        return "failed"
    if array.action == "reshape":
        return "reshape"
    if array.action == "recover" or rebuilding:
        return "recovering"
    if degraded:
        return "degraded"
    if array.action == "resync" or array.listed.waiting:
        return "resync"
    return "check" if array.action in ("check", "repair") else "active"


def condition(array: KernelArray) -> str | None:
    """What explains the health of a running array, in one sentence."""
    if array.broken:
        return _BROKEN
    if array.with_bad_blocks:
        return _BAD_BLOCKS.format(", ".join(array.with_bad_blocks))
    if array.listed.waiting:
        return _WAITING.get(array.listed.waiting)
    return "The array is read-only." if array.state == "readonly" else None


def _weight(block: Superblock) -> tuple[bool, int, datetime, int]:
    return block.role is not None, block.events, block.updated, block.view.count(".")


def _order(member: MemberReport) -> tuple[bool, int, str]:
    return member.slot is None, member.slot or 0, member.device or ""


def _good(block: Superblock) -> MemberState:
    if block.role is None:
        return "spare"
    return "rebuilding" if block.recovering or block.replacement else "active"
