"""Claims: an operation claims its drives, pools and mount paths before it plans anything.

A claim is granted whole or refused at once, without waiting.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from backy_core.sdk.advice import Hint, Verb, advise
from backy_core.sdk.errors import BackyError, Conflict, DriveInUse


class Claim(NamedTuple):
    """One thing an operation needs for itself."""

    kind: Literal["drive", "pool", "mount"]
    name: str


class Claims:
    """The table of what running operations hold."""

    def __init__(self) -> None:
        self._owners: dict[Claim, str] = {}

    def take(self, owner: str, claims: Iterable[Claim]) -> None:
        """Give all ``claims`` to ``owner`` or raise naming the first that is taken."""
        requested = tuple(claims)
        for claim in requested:
            if any(_meet(claim, held) and by != owner for held, by in self._owners.items()):
                raise _clash(claim)
        self._owners.update(dict.fromkeys(requested, owner))

    def release(self, owner: str) -> None:
        self._owners = {claim: held for claim, held in self._owners.items() if held != owner}

    def claimed_drives(self, other_than: str | None = None) -> frozenset[str]:
        """Serials of drives that operations other than ``other_than`` work on."""
        return frozenset(
            claim.name
            for claim, owner in self._owners.items()
            if claim.kind == "drive" and owner != other_than
        )


def _meet(claim: Claim, running_claim: Claim) -> bool:
    """The same thing, or mount paths of which one lies below the other."""
    if claim == running_claim:
        return True
    if (claim.kind, running_claim.kind) != ("mount", "mount"):
        return False
    return claim.name.startswith(running_claim.name + "/") or running_claim.name.startswith(
        claim.name + "/"
    )


def _clash(claim: Claim) -> BackyError:
    if claim.kind == "drive":
        return DriveInUse(
            f"Drive {claim.name} is being used by a running operation",
            hint=advise("Wait for it to end, or cancel it: ", Hint(Verb.LIST_OPERATIONS)),
        )
    noun = "Pool" if claim.kind == "pool" else "Mount path"
    return Conflict(
        f"{noun} {claim.name} is being worked on by another operation",
        hint=advise("Wait for it to end: ", Hint(Verb.LIST_OPERATIONS)),
    )
