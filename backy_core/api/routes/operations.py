"""Long work: watching, cancelling and forgetting it."""

from __future__ import annotations

from quart import Response

from backy_core.api.content import tagged
from backy_core.api.detached_calls import carry_out
from backy_core.api.replies import accepted, agent, operation_reply, reply
from backy_core.api.requests import prefers_async
from backy_core.api.routing import BASE_PATH, Routes, endpoint
from backy_core.api.wire.base import SuccessMessage
from backy_core.api.wire.operations import AcceptedReply, OperationList, OperationReply
from backy_core.operations.records import Operation
from backy_core.store.keys import Scope

routes = Routes(BASE_PATH)


@endpoint(routes, "GET", "/operations", scope=Scope.READ, replies={200: OperationList}, tagged=True)
async def list_operations() -> Response:
    """List the operations that run or are still remembered."""
    return tagged(OperationList(tuple(map(_shown, agent().operations.all()))))


@endpoint(
    routes,
    "GET",
    "/operations/<operation_id>",
    scope=Scope.READ,
    replies={200: OperationReply},
    tagged=True,
)
async def get_operation(operation_id: str) -> Response:
    """Show one operation."""
    return tagged(_shown(agent().operations.get(operation_id)))


@endpoint(
    routes,
    "POST",
    "/operations/<operation_id>/cancel",
    scope=Scope.ADMIN,
    replies={200: AcceptedReply, 202: AcceptedReply},
)
async def cancel_operation(operation_id: str) -> Response:
    """Stop an operation at its next safe point, roll it back and report how it ended."""
    operation = agent().operations.cancel(operation_id)
    if prefers_async():
        return accepted(operation)
    await carry_out(operation.ended())
    return reply(AcceptedReply(operation=_shown(operation)))


@endpoint(
    routes, "DELETE", "/operations/<operation_id>", scope=Scope.ADMIN, replies={200: SuccessMessage}
)
async def forget_operation(operation_id: str) -> Response:
    """Forget a finished operation and its outputs."""
    agent().operations.forget(operation_id)
    return reply(SuccessMessage(message=f"Operation {operation_id} is forgotten"))


def _shown(operation: Operation) -> OperationReply:
    return operation_reply(operation, agent().agent_instance)
