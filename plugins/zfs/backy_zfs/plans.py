"""The frame of the backend's plans: how the zpool is named, and how its members are recognised."""

from __future__ import annotations

from backy_core.sdk.models import PoolSpec, SignatureMatch
from backy_core.sdk.naming import pool_name
from backy_core.sdk.plan import BackendPlan, MemberIs, PoolIs, Step
from backy_zfs.naming import SIGNATURE

TABLE = (SignatureMatch(type="gpt"), SignatureMatch(type="PMBR"))
"""The partition table OpenZFS makes on a whole drive."""


def plan_of(pool: PoolSpec, *steps: Step, goal: PoolIs | MemberIs | None = None) -> BackendPlan:
    """A plan of these steps."""
    return BackendPlan(
        steps=steps,
        goal=(goal,) if goal else (),
        stamps=(stamp(pool),),
        enclosing=TABLE,
        delivers="filesystem",
    )


def name_of(pool: PoolSpec) -> str:
    """The pool's name for ``zpool import``: our own name, or a foreign zpool's guid."""
    return pool.identity if pool.identity.isdigit() else pool_name(pool.identity)


def stamp(pool: PoolSpec) -> SignatureMatch:
    if pool.identity.isdigit():
        return SignatureMatch(type=SIGNATURE, uuid=pool.identity)
    return SignatureMatch(type=SIGNATURE, label=pool_name(pool.identity))
