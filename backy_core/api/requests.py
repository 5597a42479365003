"""Reading requests strictly: JSON bodies, query parameters and preferences."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from quart import Request, request
from quart_schema.validation import (
    QUART_SCHEMA_QUERYSTRING_ATTRIBUTE,
    QUART_SCHEMA_REQUEST_ATTRIBUTE,
)

from backy_core.api.audit import Call
from backy_core.api.errors import UnsupportedMediaType
from backy_core.api.messages import clipped
from backy_core.sdk.errors import InvalidRequest
from backy_core.store.keys import Caller

_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})


def prefers_async() -> bool:
    """Whether the client asked for an answer at once (RFC 7240 ``respond-async``)."""
    preferences = ",".join(request.headers.getlist("Prefer")).split(",")
    names = {item.partition(";")[0].strip().lower() for item in preferences}
    return "respond-async" in names


class StrictRequest(Request):
    """A request whose JSON body is taken as written or refused.

    No body at all reads as an empty object, so that bodies with only optional fields may be
    left out.
    """

    caller: Caller
    """Who sent it; absent if the handler is open to everyone."""
    call: Call | None = None
    """For the audit log, if it may change something and its sender is known."""

    async def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """The decoded body; raises :class:`InvalidRequest` or :class:`UnsupportedMediaType`."""
        data = await self.get_data(cache=cache, as_text=False, parse_form_data=False)
        if not data:
            return {}
        if not self.is_json:
            raise UnsupportedMediaType("The body must be sent as application/json")
        return decode_json(data)


def decode_json(data: bytes) -> Any:
    """JSON as RFC 8259 has it: no NaN, no field given twice, no half of a character."""
    try:
        value = json.loads(
            data.decode(), object_pairs_hook=_without_repeats, parse_constant=_refuse_constant
        )
        if b"\\u" in data:
            json.dumps(value, ensure_ascii=False).encode()  # fails on lone surrogates
        return value
    except (ValueError, RecursionError) as problem:
        raise InvalidRequest("The body is not valid JSON") from problem


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) == len(pairs):
        return fields
    counts = Counter(name for name, _ in pairs)
    twice = next(name for name, count in counts.items() if count > 1)
    raise InvalidRequest(f"Field {clipped(twice)} is given more than once")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


async def refuse_undeclared(current: Request, view: object) -> None:
    """Refuse by its name what ``view`` does not declare; nothing if there is no view."""
    if view is None:
        return
    if current.query_string and not hasattr(view, QUART_SCHEMA_QUERYSTRING_ATTRIBUTE):
        _refuse_fields("query parameter", current.args)
    if current.method in _WITH_BODY and not hasattr(view, QUART_SCHEMA_REQUEST_ATTRIBUTE):
        _refuse_fields("field", await current.get_json())


def _refuse_fields(place: str, fields: Any) -> None:
    if not hasattr(fields, "keys"):
        raise InvalidRequest("The body must be a JSON object")
    for name in fields:
        raise InvalidRequest(f"Unknown {place} {clipped(name)}")
