"""Following what changes, without asking again."""

from __future__ import annotations

from typing import cast

from quart import Response, current_app

from backy_core.api.asgi import Streamed
from backy_core.api.auth import still_accepted
from backy_core.api.live.hub import LiveEvents
from backy_core.api.replies import agent, current_request
from backy_core.api.routing import BASE_PATH, Routes, endpoint
from backy_core.api.sessions import sessions
from backy_core.api.wire.events import LiveEvent
from backy_core.store.keys import Scope

EXTENSION = "backy_live_events"
EVENT_STREAM = "text/event-stream"
routes = Routes(BASE_PATH)


@endpoint(
    routes, "GET", "/events", scope=Scope.READ, replies={200: LiveEvent}, media_type=EVENT_STREAM
)
async def follow_events() -> Response:
    """Follow operations, pools and drives as Server-Sent Events, from a snapshot on."""
    events = cast("LiveEvents", current_app.extensions[EXTENSION])
    await events.catch_up()
    current = current_request()
    accepted = still_accepted(current, agent().keys, sessions())
    feed = events.feed(current.headers.get("Last-Event-ID", ""), accepted)
    return Streamed(feed, EVENT_STREAM)
