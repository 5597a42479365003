"""Who sends a request: the bearer of a key in one header, compared in constant time, or a browser
that has signed in with one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from quart import Request
from werkzeug.http import parse_cookie

from backy_core.api.errors import Forbidden, Unauthorized
from backy_core.api.server.exchange import PEER
from backy_core.api.sessions import COOKIE, Sessions
from backy_core.logs import Repeated
from backy_core.store.keys import Caller, Keys, Scope

HEADER = "X-Api-Key"
_HEADER_FIELD = HEADER.lower().encode()
READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""
note_wrong_key = Repeated(logging.getLogger(__name__), logging.WARNING)


def caller_of(current: Request, keys: Keys, sessions: Sessions) -> Caller:
    """Raises :class:`Unauthorized` if there is no key, or a wrong one; :class:`Forbidden` for a
    change that another site's page asks a signed-in browser for.

    Root needs none at its own socket.
    """
    if is_root(current):
        return Caller(Scope.ADMIN, uid=0)
    given = current.headers.get(HEADER)
    caller = _of_key(given, keys) if given else _of_session(current, sessions)
    if caller.key is not None:
        keys.note_use(caller.key)
    return caller


def _of_key(given: str, keys: Keys) -> Caller:
    caller = keys.caller_of(given.encode())
    if caller is None:
        note_wrong_key("A request with a wrong API key was refused")
        raise Unauthorized("Invalid API key")
    return caller


def _of_session(current: Request, sessions: Sessions) -> Caller:
    caller = sessions.caller_of(session_of(current))
    if caller is None:
        raise Unauthorized("API key is required")
    if current.method not in READING:
        refuse_other_origins(current)
    return caller


def session_of(current: Request) -> str:
    """The id that the browser sends; empty without one."""
    return current.cookies.get(COOKIE, "")


def refuse_other_origins(current: Request) -> None:
    """Raise :class:`Forbidden` unless a page of this agent sends the request.

    Browsers name the page's origin with every changing request. The cookie alone does not do: a
    page from another port of this machine counts as the same site.
    """
    origin = urlsplit(current.headers.get("Origin", ""))
    if not origin.netloc or origin.netloc != current.headers.get("Host", "").lower():
        raise Forbidden("A signed-in browser may change things from this agent's own pages only")


def came_by_tls(current: Request) -> bool:
    """Whether the browser speaks TLS, with the agent or with a proxy in front of it."""
    return current.scheme == "https" or current.headers.get("Origin", "").startswith("https:")


def still_accepted(current: Request, keys: Keys, sessions: Sessions) -> Callable[[], bool]:
    """What tells, long after the request, whether its sender would still be let in."""
    if is_root(current):
        return lambda: True
    given = current.headers.get(HEADER)
    if not given:
        session = session_of(current)
        return lambda: sessions.caller_of(session) is not None
    secret = given.encode()
    return lambda: keys.caller_of(secret) is not None


def is_root(current: Request) -> bool:
    """Whether it came by the socket that is root's alone, from root."""
    peer: dict[str, int] = current.scope["extensions"].get(PEER, {})
    return peer.get("uid") == 0


def bears_key(
    fields: Iterable[tuple[bytes, bytes]], keys: Keys, sessions: Sessions | None = None
) -> bool:
    """Whether a request with these header fields, names in lower case, carries a key, or the
    session of a browser that has signed in with one."""
    for field, value in fields:
        if field == _HEADER_FIELD and keys.caller_of(value) is not None:
            return True
        if field == b"cookie" and sessions is not None and COOKIE.encode() in value:
            session = parse_cookie(value.decode("latin-1")).get(COOKIE, "")
            if sessions.caller_of(session) is not None:
                return True
    return False
