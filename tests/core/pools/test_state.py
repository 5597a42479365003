"""Every combination of evidence against the contract's words, written down a second time."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from backy_core.pools.reading.state import Evidence, derive
from backy_core.pools.views import PoolState

_FLAGS = (*("known", "wanted", "mounted", "troubled", "creating", "failed", "deleted", "opening"),)
_EARLIER = (None, *PoolState)
_ALL = [
    Evidence(**dict(zip(_FLAGS, flags, strict=True)), earlier=earlier)
    for flags in itertools.product((False, True), repeat=len(_FLAGS))
    for earlier in _EARLIER
]


def _matching(**wanted: object) -> list[Evidence]:
    return [e for e in _ALL if all(getattr(e, name) == value for name, value in wanted.items())]


def test_the_table_is_whole() -> None:
    assert len(_ALL) == 2**8 * 7


_STANDING = {"creating": False, "known": True, "earlier": None}
_FINE = _STANDING | {"troubled": False}
_AT_START = _STANDING | {"troubled": True, "opening": True}
_CASES: list[tuple[dict[str, Any], str | None]] = [
    # `creating`: a creation is running (or is being rolled back)
    ({"creating": True}, "creating"),
    # nobody knows it
    ({"creating": False, "known": False, "deleted": False, "failed": False}, None),
    # `failed`: its creation failed and was undone; known in memory only
    ({"creating": False, "known": False, "deleted": False, "failed": True}, "failed"),
    # `deleted`: it was torn down a short while ago; a failed record may be older
    ({"creating": False, "known": False, "deleted": True}, "deleted"),
    # `error`: the kernel has it mounted and it cannot be used, whatever was asked for
    (_STANDING | {"troubled": True, "opening": False}, "error"),
    # `ready`: it exists and is mounted
    (_FINE | {"mounted": True}, "ready"),
    (_AT_START | {"mounted": True}, "ready"),
    # `unmounted`: it exists, is not mounted and nobody wants it to be
    (_FINE | {"mounted": False, "wanted": False}, "unmounted"),
    # at start, a pool still to be opened is `unmounted`
    (_FINE | {"mounted": False, "wanted": True, "opening": True}, "unmounted"),
    (_AT_START | {"mounted": False}, "unmounted"),
    # `error`: it should be usable but is not
    (_FINE | {"mounted": False, "wanted": True, "opening": False}, "error"),
]


@pytest.mark.parametrize(("case", "state"), _CASES)
def test_states(case: dict[str, Any], state: str | None) -> None:
    found = _matching(**case)
    assert found
    assert {derive(evidence) for evidence in found} == {state}


@pytest.mark.parametrize("earlier", list(PoolState))
def test_while_a_change_runs_the_earlier_state_stays(earlier: PoolState) -> None:
    found = _matching(creating=False, known=True, earlier=earlier)
    assert {derive(evidence) for evidence in found} == {earlier}


def test_the_cases_above_leave_nothing_out_and_do_not_overlap() -> None:
    running = [{"creating": False, "known": True, "earlier": each} for each in PoolState]
    cases = [*(case for case, _ in _CASES), *running]
    told = [evidence for case in cases for evidence in _matching(**case)]
    assert sorted(map(repr, told)) == sorted(map(repr, _ALL))
