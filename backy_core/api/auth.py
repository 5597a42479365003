"""Who sends a request: the bearer of a key in one header, compared in constant time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from quart import Request

from backy_core.api.errors import Unauthorized
from backy_core.api.server.exchange import PEER
from backy_core.logs import Repeated
from backy_core.store.keys import Caller, Keys, Scope

HEADER = "X-Api-Key"
_wrong_key = Repeated(logging.getLogger(__name__), logging.WARNING)


def caller_of(current: Request, keys: Keys) -> Caller:
    """Raises :class:`Unauthorized` if there is no key, or a wrong one.

    Root needs none at its own socket.
    """
    if is_root(current):
        return Caller(Scope.ADMIN, uid=0)
    given = current.headers.get(HEADER)
    if not given:
        raise Unauthorized("API key is required")
    caller = keys.caller_of(given.encode())
    if caller is None:
        _wrong_key("A request with a wrong API key was refused")
        raise Unauthorized("Invalid API key")
    if caller.key is not None:
        keys.note_use(caller.key)
    return caller


def still_accepted(current: Request, keys: Keys) -> Callable[[], bool]:
    """What tells, long after the request, whether its sender would still be let in."""
    if is_root(current):
        return lambda: True
    secret = current.headers[HEADER].encode()
    return lambda: keys.caller_of(secret) is not None


def is_root(current: Request) -> bool:
    """Whether it came by the socket that is root's alone, from root."""
    peer: dict[str, int] = current.scope["extensions"].get(PEER, {})
    return peer.get("uid") == 0


def bears_key(fields: Iterable[tuple[bytes, bytes]], keys: Keys) -> bool:
    """Whether a request with these header fields, names in lower case, carries a key."""
    name = HEADER.lower().encode()
    return any(field == name and keys.caller_of(value) is not None for field, value in fields)
