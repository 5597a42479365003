"""Making pools and looking at them."""

from __future__ import annotations

from quart import Response

from backy_core.api.content import unless_known
from backy_core.api.detached_calls import carry_out
from backy_core.api.pool_replies import detail_content, list_content, opens_on_reply
from backy_core.api.replies import agent, current_request, monitor_headers, plan_reply, reply
from backy_core.api.routing import BASE_PATH, Routes, endpoint
from backy_core.api.wire.pool_life import (
    CreateReply,
    CreationDryRunReply,
    CreationPlanReply,
    ImportableList,
    ImportableReply,
    OutputsReply,
)
from backy_core.api.wire.pool_requests import (
    CreatePoolBody,
    DryRunQuery,
    ListPoolsQuery,
    OutputsQuery,
)
from backy_core.api.wire.pools import PoolDetail, PoolList
from backy_core.pools.views import CreateRequest
from backy_core.store.keys import Scope

routes = Routes(BASE_PATH)


@endpoint(
    routes,
    "POST",
    "/pools",
    scope=Scope.ADMIN,
    body=CreatePoolBody,
    query=DryRunQuery,
    replies={202: CreateReply, 200: CreationDryRunReply},
)
async def create_pool(data: CreatePoolBody, query_args: DryRunQuery) -> Response:
    """Create a pool, or with dryRun=true say how."""
    if query_args.dry_run:
        return await _dry_run(_request(data))
    guid, operation = await carry_out(agent().pools.create(_request(data)))
    headers = monitor_headers(operation) | {"Location": f"{BASE_PATH}/pools/{guid}"}
    return reply(CreateReply(pool_group_guid=guid), 202, headers)


async def _dry_run(request: CreateRequest) -> Response:
    planned = await agent().pools.dry_run(request)
    return reply(
        CreationDryRunReply(
            plan=CreationPlanReply(
                steps=plan_reply(planned.steps).steps,
                portability=planned.portability,
                opens_on=opens_on_reply(planned.opens_on),
            )
        )
    )


def _request(body: CreatePoolBody) -> CreateRequest:
    return CreateRequest(
        label=body.label,
        drive_serials=tuple(body.drive_serials),
        drive_labels=dict(body.drive_labels),
        mount_path=body.mount_path,
        guid=body.pool_group_guid,
        backend=body.backend,
        level=body.level,
        filesystem=body.filesystem,
        wipe=body.wipe,
        portability=body.portability,
    )


@endpoint(
    routes,
    "GET",
    "/pools",
    scope=Scope.READ,
    query=ListPoolsQuery,
    replies={200: PoolList},
    tagged=True,
)
async def list_pools(query_args: ListPoolsQuery) -> Response:
    """List pools: all that exist or are being created, or those in one state."""
    pools = await agent().pools.list(backend=query_args.backend, state=query_args.state)
    return unless_known(list_content(pools))


@endpoint(
    routes, "GET", "/pools/<guid:guid>", scope=Scope.READ, replies={200: PoolDetail}, tagged=True
)
async def get_pool(guid: str) -> Response:
    """Show one pool."""
    return unless_known(detail_content(await agent().pools.get(guid)))


@endpoint(
    routes,
    "GET",
    "/pools/<guid:guid>/outputs",
    scope=Scope.READ,
    query=OutputsQuery,
    replies={200: OutputsReply},
)
async def get_outputs(guid: str, query_args: OutputsQuery) -> Response:
    """Show the command outputs of a pool's latest operation, live while it runs.

    To read them with scope `read` does not count: a failure then stays as long as an unread one.
    """
    offset = query_args.offset
    operates = current_request().caller.scope.covers(Scope.OPERATE)
    lines, following = await agent().pools.outputs(guid, offset or 0, by_operator=operates)
    shown = None if offset is None else following
    return reply(OutputsReply(outputs=tuple(lines), next_offset=shown))


@endpoint(routes, "GET", "/pools/importable", scope=Scope.READ, replies={200: ImportableList})
async def list_importable() -> Response:
    """List pools found on drives that the metadata does not know."""
    importable_pools = await agent().pools.importable()
    return reply(
        ImportableList(
            tuple(
                ImportableReply(
                    pool_group_guid=pool.guid,
                    backend=pool.backend,
                    native_id=pool.native_id,
                    label=pool.label,
                    level=pool.level,
                    filesystem=pool.filesystem,
                    drives=tuple(pool.drives),
                    opens_on=opens_on_reply(pool.opens_on),
                    cannot_open_because=pool.cannot_open_because,
                )
                for pool in importable_pools
            )
        )
    )
