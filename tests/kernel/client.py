"""A minimal HTTP client for scripts: the standard library, the key header, JSON in and out."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any


@dataclass(frozen=True)
class Reply:
    """One answer: status, headers (names in lower case), parsed JSON body."""

    status: int
    headers: Mapping[str, str]
    body: Any

    def link(self, relation: str) -> str:
        """Target of the `Link` header with this relation (`rel="monitor"`), else empty."""
        for part in self.headers.get("link", "").split(","):
            target, _, parameters = part.partition(";")
            if f"rel={relation}" in parameters.replace('"', ""):
                return target.strip().strip("<>")
        return ""


class Client:
    """Calls to one agent. Errors of the agent are replies; an unreachable one raises OSError."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.key = key

    def call(self, method: str, path: str, body: Any = None, timeout: float = 120) -> Reply:
        """One request; `path` may be absolute or a whole address (as a Link header gives)."""
        request = urllib.request.Request(
            urllib.parse.urljoin(self.url, path),
            None if body is None else json.dumps(body).encode(),
            {"X-Api-Key": self.key, "Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return _reply(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return _reply(error.code, error.headers, error.read())


def _reply(status: int, headers: Message, body: bytes) -> Reply:
    named = {name.lower(): value for name, value in headers.items()}
    return Reply(status, named, json.loads(body) if body else None)
