"""Notifications, which listener plugins send."""

from __future__ import annotations

from quart import Response

from backy_core.api.detached_calls import carry_out
from backy_core.api.replies import agent, reply
from backy_core.api.routing import BASE_PATH, Routes, endpoint
from backy_core.api.wire.notifications import NotificationTestReply, TargetAnswerReply
from backy_core.store.keys import Scope

routes = Routes(BASE_PATH)


@endpoint(
    routes,
    "POST",
    "/notify/test",
    scope=Scope.ADMIN,
    replies={200: NotificationTestReply},
)
async def send_test_message() -> Response:
    """Send a test message to every target of notifications, and tell what each answered."""
    answers = await carry_out(agent().host.send_test_message())
    return reply(
        NotificationTestReply(
            targets=tuple(TargetAnswerReply(**answer.model_dump()) for answer in answers)
        )
    )
