"""What a level keeps of its data, and how much it holds."""

from __future__ import annotations

import itertools

import pytest

from backy_core.sdk.levels import named
from backy_core.sdk.models import Level

STRIPE = Level(name="stripe", min_drives=2)
MIRROR = Level(name="mirror", min_drives=1, copies=None)
PARITY = Level(name="parity", min_drives=3, parity=1)
DOUBLE = Level(name="double", min_drives=4, parity=2)
PAIRS = Level(name="pairs", min_drives=4, copies=2)


@pytest.mark.parametrize(
    ("level", "count", "tolerated", "capacity"),
    [
        (STRIPE, 3, 0, 3),
        (MIRROR, 1, 0, 1),
        (MIRROR, 3, 2, 1),
        (PARITY, 3, 1, 2),
        (DOUBLE, 5, 2, 3),
        (PAIRS, 4, 1, 2),
        (PAIRS, 5, 1, 2),
    ],
)
def test_what_a_level_tolerates_and_holds(
    level: Level, count: int, tolerated: int, capacity: int
) -> None:
    assert level.data_drives(count) == capacity
    everyone = frozenset(range(count))
    assert level.survives(count, everyone)
    for lost in itertools.combinations(range(count), tolerated):
        assert level.survives(count, everyone.difference(lost))
    one_more = itertools.combinations(range(count), tolerated + 1)
    assert not all(level.survives(count, everyone.difference(lost)) for lost in one_more)


def test_only_copies_and_parity_are_redundant() -> None:
    assert [it.redundant for it in (STRIPE, MIRROR, PARITY, PAIRS)] == [False, True, True, True]


def test_of_each_pair_one_must_be_there() -> None:
    assert PAIRS.survives(4, frozenset((0, 3)))
    assert not PAIRS.survives(4, frozenset((0, 1)))


def test_groups_of_an_odd_number_go_round() -> None:
    assert PAIRS.survives(5, frozenset((0, 2, 4)))
    assert not PAIRS.survives(5, frozenset((0, 2)))
    assert not PAIRS.survives(3, frozenset((0,)), near=1)


def test_an_unknown_level_needs_every_member() -> None:
    assert named((MIRROR, PARITY), "parity") is PARITY
    unknown = named((MIRROR, PARITY), "raid7")
    assert (unknown.name, unknown.redundant) == ("raid7", False)
    assert unknown.survives(2, frozenset((0, 1))) and not unknown.survives(2, frozenset((0,)))
