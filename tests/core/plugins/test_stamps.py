"""A stamp must tell the pool from every other one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from backy_core.plugins.host import PluginHost
from backy_core.sdk.errors import PlanRefused
from backy_core.sdk.models import (
    PoolSpec,
    SignatureMatch,
)
from backy_core.sdk.plan import BackendPlan
from tests.core.plugins.toys import DRIVE, POOL, REPORT, hosting, plan, toy


def stamped(make: Callable[[PoolSpec], SignatureMatch]) -> PluginHost:
    """A backend whose plans have this stamp."""

    def marked(pool: PoolSpec) -> BackendPlan:
        return plan().model_copy(
            update={"steps": (bare,), "stamps": (make(pool),), "enclosing": ()}
        )

    bare = plan().steps[0].model_copy(update={"undo": (), "effect": "none"})
    return hosting(
        toy(
            backy_plan_create=lambda self, pool: marked(pool),
            backy_plan_teardown=lambda self, pool: marked(pool),
        )
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda pool: SignatureMatch(type="toy_member", uuid=pool.guid),
        lambda pool: SignatureMatch(type="toy_member", uuid=pool.guid.replace("-", ":").upper()),
        lambda pool: SignatureMatch(type="toy_member", label=f"toy-{pool.guid}"),
        lambda pool: SignatureMatch(type="toy_member", uuid=f"from {hash(pool.guid)}"),
    ],
    ids=["uuid", "other form", "label", "derived"],
)
async def test_a_stamp_that_tells_the_pool_from_others_is_accepted(
    make: Callable[[PoolSpec], SignatureMatch],
) -> None:
    host = stamped(make)
    assert (await host.plan_create("toy", POOL, (DRIVE,))).stamps
    adopted = POOL.model_copy(update={"native_id": "123456789"})
    assert (await host.plan_teardown("toy", adopted, REPORT)).stamps


async def test_a_stamp_that_every_pool_has_is_refused() -> None:
    host = stamped(lambda pool: SignatureMatch(type="toy_member", label="backy"))
    reason = r"toy \(backy_plan_\w+\) breaks a rule: .*label 'backy' is the same for every pool"
    for asked in (
        host.plan_create("toy", POOL, (DRIVE,)),
        host.plan_teardown("toy", POOL, REPORT),
    ):
        with pytest.raises(PlanRefused, match=reason) as refused:
            await asked
        assert "PoolSpec.identity" in str(refused.value.hint)


async def test_a_member_that_the_report_names_is_the_pools() -> None:
    host = stamped(lambda pool: SignatureMatch(type="toy_member", uuid="PV-1"))
    (member,) = REPORT.members
    named = member.model_copy(update={"handle": "PV-1"})
    seen = REPORT.model_copy(update={"members": (named,)})
    assert (await host.plan_teardown("toy", POOL, seen)).stamps


@pytest.mark.parametrize("native_id", ["1", "---"])
async def test_a_short_identity_is_in_no_stamp_by_accident(native_id: str) -> None:
    host = stamped(lambda pool: SignatureMatch(type="toy_member", label="backy-11"))
    adopted = POOL.model_copy(update={"native_id": native_id})
    with pytest.raises(PlanRefused, match="is the same for every pool"):
        await host.plan_teardown("toy", adopted, REPORT)
