"""Hints in the words of this edge: the request to send."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple, overload
from urllib.parse import quote

from pydantic.alias_generators import to_camel

from backy_core.api.routing import BASE_PATH
from backy_core.sdk.advice import Hint, Text, Verb


class Request(NamedTuple):
    """A request as it is sent; ``path`` with its query, ``body`` the fields of a JSON object."""

    method: str
    path: str
    body: Mapping[str, str | bool]

    def __str__(self) -> str:
        fields = ", ".join(f'"{name}": {json.dumps(value)}' for name, value in self.body.items())
        return f"{self.method} {self.path}" + (f" with {fields}" if fields else "")


_ROUTES = {
    Verb.OPEN: ("POST", "/pools/{}/mount"),
    Verb.CLOSE: ("DELETE", "/pools/{}/mount"),
    Verb.TEARDOWN: ("DELETE", "/pools/{}"),
    Verb.IMPORT: ("POST", "/pools/{}/import"),
    Verb.FORGET: ("DELETE", "/pools/metadata/{}"),
    Verb.SHOW_OUTPUTS: ("GET", "/pools/{}/outputs"),
    Verb.LIST_PROCESSES: ("GET", "/pools/{}/processes"),
    Verb.LIST_IMPORTABLE: ("GET", "/pools/importable"),
    Verb.LIST_OPERATIONS: ("GET", "/operations"),
    Verb.LIST_DRIVES: ("GET", "/drives"),
    Verb.UNPROTECT: ("DELETE", "/drives/{}/protection"),
    Verb.EXAMINE: ("GET", "/doctor"),
}
_IN_BODY = frozenset({(Verb.OPEN, "force")})
"""Options that are fields of the body; the others are query parameters."""


def request_of(hint: Hint) -> Request:
    """The request that does what ``hint`` advises."""
    method, path = _ROUTES[hint.verb]
    body = {to_camel(name): value for name, value in hint.options if (hint.verb, name) in _IN_BODY}
    query = "&".join(
        f"{to_camel(name)}={quote(value if isinstance(value, str) else json.dumps(value))}"
        for name, value in hint.options
        if (hint.verb, name) not in _IN_BODY
    )
    whole = BASE_PATH + path.format(quote(hint.subject, safe=""))
    return Request(method, f"{whole}?{query}" if query else whole, body)


@overload
def worded(text: Text) -> str: ...
@overload
def worded(text: Text | None) -> str | None: ...
def worded(text: Text | None) -> str | None:
    """``text`` with its hints as requests."""
    if text is None or isinstance(text, str):
        return text
    return text.worded(lambda hint: str(request_of(hint)))
