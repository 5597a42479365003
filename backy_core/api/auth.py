"""The API key: one header, compared in constant time."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from quart import Request

from backy_core.api.errors import Unauthorized
from backy_core.api.server.exchange import PEER
from backy_core.logs import Repeated

HEADER = "X-Api-Key"
_OPEN = "_backy_open"
_wrong_key = Repeated(logging.getLogger(__name__), logging.WARNING)
View = TypeVar("View", bound=Callable[..., Any])


def open_to_all(view: View) -> View:
    """Let ``view`` be called without a key."""
    setattr(view, _OPEN, True)
    return view


def require_key(current: Request, view: object, key: str) -> None:
    """Raise :class:`Unauthorized` without the key, but for a ``view`` that is open to all.

    Root needs none at its own socket.
    """
    if getattr(view, _OPEN, False) or is_root(current):
        return
    given = current.headers.get(HEADER)
    if not given:
        raise Unauthorized("API key is required")
    if not matches(given.encode(), key):
        _wrong_key("A request with a wrong API key was refused")
        raise Unauthorized("Invalid API key")


def is_root(current: Request) -> bool:
    """Whether it came by the socket that is root's alone, from root."""
    peer: dict[str, int] = current.scope["extensions"].get(PEER, {})
    return peer.get("uid") == 0


def matches(candidate: bytes, key: str) -> bool:
    """Whether ``given`` is the key, in a time that does not tell how much of it is right."""
    return bool(key) and hmac.compare_digest(candidate, key.encode())


def bears_key(fields: Iterable[tuple[bytes, bytes]], key: str) -> bool:
    """Whether a request with these header fields, names in lower case, carries the key."""
    name = HEADER.lower().encode()
    return any(field == name and matches(value, key) for field, value in fields)
