"""Routes of the pool metadata."""

from __future__ import annotations

from quart import Response

from backy_core.api.detached_calls import carry_out
from backy_core.api.replies import agent, reply
from backy_core.api.routing import BASE_PATH, Routes, endpoint
from backy_core.api.wire.base import SuccessMessage
from backy_core.api.wire.pool_life import ValidateReply
from backy_core.store.keys import Scope

routes = Routes(BASE_PATH)


@endpoint(
    routes,
    "DELETE",
    "/pools/metadata/<guid:guid>",
    scope=Scope.ADMIN,
    replies={200: SuccessMessage},
)
async def forget_pool(guid: str) -> Response:
    """Forget a pool without touching its drives."""
    await carry_out(agent().pools.forget(guid))
    return reply(SuccessMessage(message=f"Pool {guid} is forgotten; its drives are untouched"))


@endpoint(routes, "DELETE", "/pools/metadata", scope=Scope.ADMIN, replies={200: SuccessMessage})
async def forget_all_pools() -> Response:
    """Forget every pool without touching any drive."""
    count = await carry_out(agent().pools.forget_all())
    pools = "1 pool is" if count == 1 else f"{count} pools are"
    return reply(SuccessMessage(message=f"{pools} forgotten; the drives are untouched"))


async def _validate() -> Response:
    fixed = await carry_out(agent().pools.validate_metadata())
    entries = "1 entry" if fixed == 1 else f"{fixed} entries"
    return reply(ValidateReply(message=f"{entries} corrected", fixed_entries=fixed))


@endpoint(
    routes, "PUT", "/pools/metadata/validate", scope=Scope.ADMIN, replies={200: ValidateReply}
)
async def validate_metadata() -> Response:
    """Compare the metadata with the drives and correct it."""
    return await _validate()


@endpoint(
    routes, "POST", "/pools/metadata/validate", scope=Scope.ADMIN, replies={200: ValidateReply}
)
async def validate_metadata_by_post() -> Response:
    """Compare the metadata with the drives and correct it."""
    return await _validate()
