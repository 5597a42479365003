"""Validation failures in our own words.

The validation library names each failure by a stable type; only that type and where it
happened are used, never its texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from quart_schema import RequestSchemaValidationError
from quart_schema.validation import QuerystringValidationError

from backy_core.api.wire.base import OWN_TYPE
from backy_core.sdk.errors import InvalidRequest

_MOST_FAILURES = 5
_SENTENCES = {
    "missing": "{where} is required",
    "string_type": "{where} must be text",
    "string_unicode": "{where} must be valid Unicode text",
    "int_type": "{where} must be a whole number",
    "bool_type": "{where} must be true or false",
    "literal_error": "{where} must be {expected}",
    "list_type": "{where} must be a list",
    "tuple_type": "{where} must be a list",
    "dict_type": "{where} must be an object",
    "model_type": "{where} must be a JSON object",
    "greater_than_equal": "{where} must be at least {ge}",
    "less_than_equal": "{where} must be at most {le}",
    "too_long": "{where} has too many entries",
}


def explain(error: RequestSchemaValidationError) -> InvalidRequest:
    """One sentence for the first failure; the others go into the details."""
    cause = error.validation_error
    if not isinstance(cause, ValidationError):
        return InvalidRequest("The request is malformed")
    in_query = isinstance(error, QuerystringValidationError)
    failures = cause.errors(include_url=False)
    first, *sentences = [_sentence(failure, in_query) for failure in failures[:_MOST_FAILURES]]
    if (unsaid := len(failures) - _MOST_FAILURES) > 0:
        sentences.append(f"and {unsaid} more")
    return InvalidRequest(first, details="; ".join(sentences) or None)


def clipped(text: str, most: int = 100) -> str:
    """A client's own words, as much of them as a message can hold."""
    return text if len(text) <= most else text[:most] + "…"


def _sentence(failure: Mapping[str, Any], in_query: bool) -> str:
    where = _where(failure["loc"])
    context = failure.get("ctx") or {}
    if failure["type"] == "extra_forbidden":
        return f"Unknown query parameter {where}" if in_query else f"Unknown field {where}"
    if in_query and isinstance(failure["input"], list):
        return f"Query parameter {where} is given more than once"
    if failure["type"] == OWN_TYPE:
        return f"{where} {context['rule']}"
    template = _SENTENCES.get(failure["type"], "{where} is not valid")
    return template.format(**{**context, "where": where})


def _where(location: Sequence[str | int]) -> str:
    """``("drives", 0, "serial")`` as ``drives[0].serial``; no location is the body itself."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return clipped(text.removeprefix(".")) or "The body"
