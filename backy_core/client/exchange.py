"""One request and its reply in bytes, whoever carries them: h11 speaks HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Generic, NamedTuple, NoReturn, TypeVar

from backy_core.client.address import Address
from backy_core.client.calls import BASE_PATH, Call
from backy_core.client.errors import UNREADABLE, ApiError, Unreachable

T = TypeVar("T")
MOST_BYTES = 64 * 1024 * 1024
"""Of a reply. The largest one, outputs, is bounded by the agent at 16 MiB."""


class Answer(NamedTuple, Generic[T]):
    """A reply with a status below 400."""

    body: T
    headers: Mapping[str, str]
    """Names in lower case."""

    @property
    def operation(self) -> str:
        """Identifier of the operation that the call started; empty if it started none."""
        for link in self.headers.get("link", "").split(","):
            target, _, parameters = link.partition(";")
            if 'rel="monitor"' in parameters:
                return target.strip(" <>").rpartition("/")[2]
        return ""


class Exchange(Generic[T]):
    """Lives from a call to its reply, on a connection of its own.

    It asks in HTTP/1.0, so the reply is what comes until the connection ends, and no library is
    needed to find its end: the one that would do takes longer to load than the agent to answer.
    """

    def __init__(self, call: Call[T], address: Address, key: str) -> None:
        self._call = call
        self._parts: list[bytes] = []
        self._size = 0
        self.request = self._encoded(address, key)
        """The bytes to send."""

    def _encoded(self, address: Address, key: str) -> bytes:
        call = self._call
        fields = [("Host", address.authority), ("Accept", "application/json"), *call.headers]
        if key:
            fields.append(("X-Api-Key", key))
        content = b"" if call.body is None else json.dumps(call.body).encode()
        if call.body is not None:
            fields.append(("Content-Type", "application/json"))
        if call.method != "GET":
            fields.append(("Content-Length", str(len(content))))
        if any(not value.isprintable() for _, value in fields):
            raise ValueError("A key or a host name has characters that no header can have")
        head = [f"{call.method} {BASE_PATH}{call.path} HTTP/1.0"]
        head += [f"{name}: {value}" for name, value in fields]
        return "\r\n".join([*head, "", ""]).encode() + content

    def receive(self, data: bytes) -> Answer[T] | None:
        """Take in bytes, none at the end of the connection; the answer once it is whole.

        Raises :class:`ApiError` for an error of the agent, :class:`Unreachable` for no reply.
        """
        if not data:
            return self._answer(b"".join(self._parts))
        self._size += len(data)
        if self._size > MOST_BYTES:
            raise Unreachable(f"The reply is larger than {MOST_BYTES} bytes")
        self._parts.append(data)
        return None

    def _answer(self, reply: bytes) -> Answer[T]:
        head, _, content = reply.partition(b"\r\n\r\n")
        status, headers = head_of(head)
        if str(len(content)) != headers.get("content-length", str(len(content))):
            self.ended()
        return self._understood(status, headers, content)

    def ended(self) -> NoReturn:
        """Raise for a connection that is lost."""
        raise Unreachable("The connection ended before the reply did")

    def _understood(self, status: int, headers: Mapping[str, str], content: bytes) -> Answer[T]:
        try:
            body: Any = json.loads(content)
        except ValueError:
            body = None
        if status >= 400:
            raise _error(status, body)
        agreed = isinstance(body, dict) and body.get("success") is True
        if body is None or (self._call.changes and not agreed):
            raise ApiError(status, UNREADABLE, "The reply is not one of the agent's")
        return Answer(body, headers)


def head_of(head: bytes) -> tuple[int, dict[str, str]]:
    """Status and header fields, names in lower case. Raises :class:`Unreachable`."""
    start, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = start.partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdecimal():
        raise Unreachable("The connection ended without a reply in HTTP")
    fields = (line.partition(":") for line in lines)
    return int(rest[:3]), {name.lower(): value.strip() for name, _, value in fields}


def _error(status: int, body: Any) -> ApiError:
    try:
        error = body["error"]
        return ApiError(status, str(error["code"]), str(error["message"]), error.get("details"))
    except (TypeError, KeyError):
        return ApiError(status, UNREADABLE, f"The reply of status {status} is not the agent's")
