"""The processes that keep a pool busy."""

from __future__ import annotations

from quart import Response

from backy_core.api.detached_calls import carry_out
from backy_core.api.replies import agent, process_list, reply
from backy_core.api.routes.pool_life import commands_reply, finished
from backy_core.api.routing import BASE_PATH, Routes, endpoint
from backy_core.api.wire.drives import ProcessList
from backy_core.api.wire.pool_life import CommandsReply
from backy_core.api.wire.pool_requests import KillBody
from backy_core.store.keys import Scope

routes = Routes(BASE_PATH)


@endpoint(
    routes, "GET", "/pools/<guid:guid>/processes", scope=Scope.READ, replies={200: ProcessList}
)
async def get_pool_processes(guid: str) -> Response:
    """List the processes that hold a pool's mount."""
    return reply(process_list(await agent().pools.processes(guid)))


@endpoint(
    routes,
    "POST",
    "/processes/kill",
    scope=Scope.OPERATE,
    admin_for={"action": "RemovePoolGroup"},
    body=KillBody,
    replies={200: CommandsReply},
)
async def kill_processes(data: KillBody) -> Response:
    """End processes that hold a pool's mount, then unmount or remove the pool if asked."""
    starting = agent().pools.kill(data.pool_group_guid, tuple(data.pids), data.action)
    return reply(commands_reply(await carry_out(finished(starting))))
