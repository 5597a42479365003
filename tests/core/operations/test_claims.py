"""A claim is taken whole or not at all."""

from __future__ import annotations

import pytest

from backy_core.operations.claims import Claim, Claims
from backy_core.sdk.errors import Conflict, DriveInUse

A, B = Claim("drive", "A"), Claim("drive", "B")
POOL, MOUNT = Claim("pool", "p"), Claim("mount", "/mnt/p")


@pytest.mark.parametrize(
    ("claim", "error", "words"),
    [(A, DriveInUse, "Drive A"), (POOL, Conflict, "Pool p"), (MOUNT, Conflict, "Mount path")],
)
def test_a_clash_names_what_is_taken(claim: Claim, error: type, words: str) -> None:
    claims = Claims()
    claims.take("one", [claim])
    with pytest.raises(error, match=words):
        claims.take("two", [claim])


def test_a_clash_takes_nothing() -> None:
    claims = Claims()
    claims.take("one", [B])
    with pytest.raises(DriveInUse):
        claims.take("two", [A, B, POOL])
    claims.take("three", [A, POOL])
    assert claims.claimed_drives() == {"A", "B"}


def test_what_is_released_is_free_and_others_keep_theirs() -> None:
    claims = Claims()
    claims.take("one", [A, POOL])
    claims.take("two", [B])
    claims.release("one")
    assert claims.claimed_drives() == {"B"}
    assert claims.claimed_drives(other_than="two") == frozenset()
    claims.take("three", [A, POOL])


def test_the_owner_may_take_its_own_again() -> None:
    claims = Claims()
    claims.take("one", [A])
    claims.take("one", [A, B])
    assert claims.claimed_drives(other_than="two") == {A.name, B.name}
