"""The HTTP application over one composed agent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from quart import Quart, Request
from quart.wrappers.base import BaseRequestWebsocket
from werkzeug.routing import MapAdapter

from backy_core import __version__
from backy_core.api import detached_calls, replies
from backy_core.api.agent import Agent
from backy_core.api.asgi import HttpConnection
from backy_core.api.audit import Call, asked
from backy_core.api.auth import READING, caller_of
from backy_core.api.errors import register_error_handlers
from backy_core.api.live.hub import LiveEvents
from backy_core.api.metrics.tally import Tally
from backy_core.api.openapi import add_document
from backy_core.api.requests import StrictRequest, refuse_undeclared
from backy_core.api.routes import (
    backends,
    doctor,
    drives,
    events,
    keys,
    metadata,
    metrics,
    mounts,
    notifications,
    operations,
    pool_life,
    pools,
    processes,
    service,
    session,
)
from backy_core.api.routing import FoldedPaths, configure_routing
from backy_core.api.scopes import needed_scope, refuse_below
from backy_core.api.server.limits import MAX_BODY_BYTES
from backy_core.api.sessions import EXTENSION as SESSIONS
from backy_core.api.sessions import Sessions

BODY_TIMEOUT_S = 20
"""Less than the server gives a body: here, the reply says what was missing."""
_ROUTES = (
    pools.routes,
    pool_life.routes,
    drives.routes,
    mounts.routes,
    processes.routes,
    metadata.routes,
    operations.routes,
    events.routes,
    backends.routes,
    doctor.routes,
    keys.routes,
    session.routes,
    notifications.routes,
    service.routes,
    metrics.routes,
)


class AgentApp(Quart):
    """A Quart application that reads requests strictly."""

    request_class = StrictRequest
    asgi_http_class = HttpConnection

    async def handle_request(self, request: Request) -> Any:
        """Answer, and note how a changing call ended; a read pays nothing for that."""
        response: Any = await super().handle_request(request)
        call: Call | None = request.call  # type: ignore[attr-defined]
        if call is not None:
            await call.answered(response)
        return response

    def create_url_adapter(self, request: BaseRequestWebsocket | None) -> MapAdapter | None:
        """Match by path alone, under any host name.

        Werkzeug would encode the Host header and, outside of all error handlers, fail on an
        invalid host name.
        """
        if request is None:
            return super().create_url_adapter(request)
        return self.url_map.bind(
            "localhost",
            script_name=request.root_path,
            url_scheme=request.scheme,
            default_method=request.method,
            path_info=request.path,
        )


def create_app(agent: Agent) -> Quart:
    """The application that serves ``agent``. Starting and stopping the agent is the caller's."""
    app = AgentApp("backy_core.api", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.config["BODY_TIMEOUT"] = BODY_TIMEOUT_S
    app.config["BACKY_VERSION"] = __version__
    app.extensions[replies.EXTENSION] = agent
    app.extensions[detached_calls.EXTENSION] = set()
    app.extensions[events.EXTENSION] = LiveEvents(agent)
    app.extensions[metrics.EXTENSION] = _tally(agent)
    app.extensions[SESSIONS] = sessions = Sessions(agent.keys, agent.clock)
    configure_routing(app)
    add_document(app, __version__)
    app.before_request(_admission(app, agent, sessions))
    register_error_handlers(app)
    for routes in _ROUTES:
        routes.add_to(app)
    app.asgi_app = FoldedPaths(app.asgi_app)  # type: ignore[assignment, method-assign]
    return app


def _tally(agent: Agent) -> Tally:
    tally = Tally()
    for operation in agent.operations.all():
        if not operation.running:
            tally.add(operation)
    agent.operations.on_finished(tally.add)
    return tally


def _admission(app: Quart, agent: Agent, sessions: Sessions) -> Callable[[], Awaitable[None]]:
    async def admit() -> None:
        """Before every request, also to what does not exist: the key first, so that nothing can
        be probed without it."""
        current = replies.current_request()
        endpoint = current.endpoint if current.routing_exception is None else None
        view = None if endpoint is None else app.view_functions[endpoint]
        needed = needed_scope(view)
        if needed is not None:
            current.caller = caller_of(current, agent.keys, sessions)
            if current.method not in READING:
                current.call = Call(agent.audit, current.caller, asked(current))
            refuse_below(needed, current.caller)
        await refuse_undeclared(current, view)

    return admit
