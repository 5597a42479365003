"""How members are recognised: by the UUID of the array. Pure."""

from __future__ import annotations

from backy_core.sdk.models import PoolSpec, SignatureMatch
from backy_mdadm.naming import SIGNATURE


def stamp(pool: PoolSpec) -> SignatureMatch:
    return SignatureMatch(type=SIGNATURE, uuid=pool.identity.lower())
