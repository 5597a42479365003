"""Calls that the agent's texts advise, as ``DELETE /api/v1/pools/…/mount``: found and taken apart.

The agent writes them out so that they can be sent as they stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple


class Advised(NamedTuple):
    """A call. ``path`` is as sent, without base and query; ``options`` are of query and body."""

    method: str
    path: str
    options: tuple[tuple[str, str], ...]

    @property
    def subject(self) -> str:
        """The pool or drive that the path names."""
        from urllib.parse import unquote

        parts = self.path.split("/")
        return unquote(parts[3] if parts[2:3] == ["metadata"] else "".join(parts[2:3]))


def advised_in(text: str) -> Iterator[str | Advised]:
    """The text in parts, in order."""
    end = 0
    for match in _pattern().finditer(text):
        yield text[end : match.start()]
        yield _taken_apart(match["method"], match["target"], match["fields"] or "")
        end = match.end()
    yield text[end:]


@cache
def _pattern() -> re.Pattern[str]:
    # A full stop after a path ends the sentence, unless the path goes on.
    return re.compile(
        r"\b(?P<method>GET|POST|PUT|PATCH|DELETE) /api/v1"
        r"(?P<target>(?:[\w%/?=&~-]|\.(?=[\w%]))+)"
        r'(?: with (?P<fields>"\w+": (?:true|false|"[^"]*")(?:, "\w+": (?:true|false|"[^"]*"))*))?'
    )


def _taken_apart(method: str, target: str, fields: str) -> Advised:
    from urllib.parse import parse_qsl

    path, _, query = target.partition("?")
    body = re.findall(r'"(\w+)": ("[^"]*"|\w+)', fields)
    options = [*parse_qsl(query), *((name, value.strip('"')) for name, value in body)]
    return Advised(method, path, tuple(options))
