"""Member states by invented superblocks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from backy_mdadm import standing
from backy_mdadm.parse import Superblock
from backy_mdadm.standing import survives

from backy_core.sdk.models import MemberReport

NEWEST = datetime(2026, 11, 29, 18, 20, tzinfo=UTC)


def member(role: int, events: int, view: str, level: str, **more: Any) -> Superblock:
    updated = NEWEST.astimezone().replace(tzinfo=None)
    return Superblock("/dev/sda", "uuid", level, len(view), events, updated, role, view, **more)


@pytest.mark.parametrize(
    ("level", "views", "needed"),
    [
        ("raid5", ((24, "AAA"), (26, ".AA"), (29, "..A")), "Only 1 of its 3 members is up to date"),
        ("raid5", ((24, "AAA"), (26, ".AA"), (26, ".AA")), None),
        # What a mount by force leaves, whose event count is the newest one's by now.
        ("raid5", ((24, "AAA"), (29, ".AA"), (29, "..A")), None),
        (
            "raid6",
            ((20, "AAAA"), (22, ".AAA"), (24, "..AA"), (29, "...A")),
            "Only 1 of its 4 members is up to date",
        ),
        ("raid6", ((20, "AAAA"), (22, ".AAA"), (29, "..AA"), (29, "..AA")), None),
        (
            "raid10",
            ((20, "AAAA"), (22, ".AAA"), (29, "..AA"), (29, "..AA")),
            "Only 2 of its 4 members are up to date",
        ),
        ("raid10", ((20, "AAAA"), (29, ".AAA"), (29, ".AAA"), (29, ".AAA")), None),
        ("raid1", ((20, "AA"), (22, ".A")), None),
    ],
)
def test_force_where_nothing_less_starts_it(
    level: str, views: Sequence[tuple[int, str]], needed: str | None
) -> None:
    blocks = [member(role, *reported, level, layout=2) for role, reported in enumerate(views)]
    assert _needs_force(blocks) == needed


@pytest.mark.parametrize(("clean", "needed"), [(True, None), (False, "It was being written to")])
def test_force_for_parity_that_was_cut_off_while_degraded(clean: bool, needed: str | None) -> None:
    blocks = [member(role, 29, ".AA", "raid5", clean=clean) for role in (1, 2)]
    reason = _needs_force(blocks)
    assert (reason or "").startswith(needed or "") and bool(reason) is bool(needed)
    whole = [member(role, 29, "AAA", "raid5", clean=clean) for role in (0, 1, 2)]
    assert _needs_force(whole) is None, "it is resynced by an ordinary start"


def test_how_far_behind() -> None:
    judge = member(2, 29, "..A", "raid5")
    assert standing.behind(judge, judge) is None
    lines = standing.behind(member(1, 26, ".AA", "raid5"), judge)
    assert lines == "3 events behind (26 of 29), last written 2026-11-29T18:20:00Z"
    never = member(1, 28, ".AA", "raid5")._replace(updated=datetime.min)
    assert standing.behind(never, judge) == "1 event behind (28 of 29)"


def _needs_force(blocks: Sequence[Superblock]) -> str | None:
    judge = standing.newest(blocks)
    assert judge is not None
    live = standing.live_slots(judge)
    return standing.needs_force(
        judge,
        [
            MemberReport(device="sda", slot=block.role, state=standing.standing(block, judge, live))
            for block in blocks
        ],
    )


@pytest.mark.parametrize(
    ("slots", "working", "whole"),
    [
        (4, {0, 2}, True),
        (4, {0, 1}, False),
        # Copies of an odd number of members overlap: 0+1, 2+3, 4+0, 1+2, 3+4.
        (5, {0, 2, 3}, True),
        (5, {0, 3, 4}, False),
        (3, {0, 2}, True),
        (3, {0}, False),
    ],
)
def test_raid10_survives_while_a_copy_of_everything_is_there(
    slots: int, working: set[int], whole: bool
) -> None:
    assert survives("raid10", 0x102, slots, frozenset(working)) is whole


@pytest.mark.parametrize(("view", "state"), [("AA", "missing"), ("A.", "failed")])
def test_a_slot_that_was_empty_before_is_not_missing(view: str, state: str) -> None:
    """The agent's start waits for what was in use last, and for nothing else."""
    first = MemberReport(device="sda", slot=0, state="active")
    _, second = standing.with_missing((first,), 2, member(0, 29, view, "raid1"))
    assert (second.device, second.slot, second.state) == (None, 1, state)
