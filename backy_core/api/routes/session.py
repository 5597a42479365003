"""Signing in and out: a browser trades a key for a cookie, which then stands for the key."""

from __future__ import annotations

from typing import cast

from quart import Response, current_app

from backy_core.api.audit import Call, asked
from backy_core.api.auth import came_by_tls, note_wrong_key, refuse_other_origins, session_of
from backy_core.api.errors import Unauthorized
from backy_core.api.live.hub import LiveEvents
from backy_core.api.replies import agent, current_request, reply
from backy_core.api.routes.events import EXTENSION as LIVE_EVENTS
from backy_core.api.routing import BASE_PATH, Routes, endpoint
from backy_core.api.sessions import COOKIE, sessions
from backy_core.api.wire.base import SuccessMessage
from backy_core.api.wire.session import SessionReply, SignInBody, SignInReply
from backy_core.store.keys import Caller, Scope

routes = Routes(BASE_PATH)


@endpoint(routes, "GET", "/session", scope=Scope.READ, replies={200: SessionReply})
async def get_session() -> Response:
    """Show whose key the request carries and what it permits."""
    return reply(SessionReply(**_shown(current_request().caller)))


@endpoint(routes, "POST", "/session", scope=None, body=SignInBody, replies={200: SignInReply})
async def sign_in(data: SignInBody) -> Response:
    """Trade a key for a cookie, for a browser on the agent's own pages."""
    current = current_request()
    refuse_other_origins(current)
    begun = sessions().begin(data.key.get_secret_value())
    if begun is None:
        note_wrong_key("A browser that tried to sign in with a wrong API key was refused")
        raise Unauthorized("This key is not valid")
    session_id, caller = begun
    current.call = Call(agent().audit, caller, asked(current))
    response = reply(SignInReply(**_shown(caller)))
    response.set_cookie(
        COOKIE, session_id, httponly=True, samesite="Strict", secure=came_by_tls(current)
    )
    return response


@endpoint(routes, "DELETE", "/session", scope=Scope.READ, replies={200: SuccessMessage})
async def sign_out() -> Response:
    """End the browser's session, and what it follows."""
    sessions().end(session_of(current_request()))
    cast("LiveEvents", current_app.extensions[LIVE_EVENTS]).end_refused()
    response = reply(SuccessMessage(message="Signed out"))
    response.delete_cookie(COOKIE, httponly=True, samesite="Strict")
    return response


def _shown(caller: Caller) -> dict[str, str | None]:
    return {"key": caller.key, "scope": str(caller.scope)}
