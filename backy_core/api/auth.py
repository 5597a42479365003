"""The API key: one header, compared in constant time."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any, TypeVar

from quart import Request, current_app

from backy_core.api.errors import Unauthorized
from backy_core.api.replies import agent, current_request

HEADER = "X-Api-Key"
_OPEN = "_backy_open"
View = TypeVar("View", bound=Callable[..., Any])


def open_to_all(view: View) -> View:
    """Let ``view`` be called without a key."""
    setattr(view, _OPEN, True)
    return view


async def require_key() -> None:
    """Before every request, also to what does not exist, so that nothing can be probed."""
    current = current_request()
    if _is_open(current):
        return
    given = current.headers.get(HEADER)
    if not given:
        raise Unauthorized("API key is required")
    expected = agent().api_key
    if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
        raise Unauthorized("Invalid API key")


def _is_open(current: Request) -> bool:
    if current.endpoint is None or current.routing_exception is not None:
        return False
    return getattr(current_app.view_functions[current.endpoint], _OPEN, False)
