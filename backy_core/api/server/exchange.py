"""One request and its reply, as an ASGI application sees them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol
from urllib.parse import unquote

import h11

from backy_core.api.errors import PayloadTooLarge, internal_error
from backy_core.api.server.limits import MAX_BODY_BYTES, UNTRUSTED_PAUSE_S
from backy_core.api.server.streams import MESSAGE as STREAM
from backy_core.api.server.streams import Feed
from backy_core.sdk.errors import BackyError, InvalidRequest

Message = dict[str, Any]
App = Callable[[Any, Any, Any], Awaitable[None]]
PEER = "backy.peer"
"""Extension of the scope for a client at root's socket, with its ``uid``."""
_BODILESS = frozenset({204, 304})

log = logging.getLogger(__name__)


class Channel(Protocol):
    """The connection, as far as an exchange uses it."""

    peer: tuple[str, int] | None
    local: tuple[str, int] | None
    uid: int | None
    scheme: str

    @property
    def awaits_continue(self) -> bool: ...
    @property
    def last_reply(self) -> bool: ...
    def body(self) -> tuple[bytes, bool] | None: ...
    def encoded(self, events: Iterable[h11.Event]) -> list[bytes]: ...
    def send(self, *events: h11.Event) -> None: ...
    async def write(self, parts: Iterable[bytes]) -> None: ...
    def stream(self, head: h11.Response, feed: Feed) -> None: ...
    def refuse(self, error: BackyError) -> None: ...
    def abort(self) -> None: ...
    def finished(self) -> None: ...


class Exchange:
    """Lives from the end of a request's head to the end of its reply."""

    def __init__(self, channel: Channel, request: h11.Request, target: bytes) -> None:
        self._channel = channel
        self._request = request
        self._target = target
        self._wake = asyncio.Event()
        self._left = False
        self._received = False
        self._size = 0
        self._head: Message | None = None
        self._begun = False
        self._done = False
        self._turn: asyncio.Semaphore | None = None
        self._queued: asyncio.Task[None] | None = None
        """While it waits for its turn."""

    @property
    def scope(self) -> Message:
        path, _, query = self._target.partition(b"?")
        uid = self._channel.uid
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": self._request.http_version.decode(),
            "method": self._request.method.decode("ascii"),
            "scheme": self._channel.scheme,
            "path": unquote(path.decode("ascii")),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": list(self._request.headers),
            "client": self._channel.peer,
            "server": self._channel.local,
            "extensions": {} if uid is None else {PEER: {"uid": uid}},
        }

    async def run(self, app: App, turn: asyncio.Semaphore | None) -> None:
        """Have it answered; the client gets a reply or the end of its connection.

        With a ``turn``, the application starts once it is free, which it is again a moment after
        the reply has begun.
        """
        try:
            if turn is not None:
                self._queued = asyncio.current_task()
                await turn.acquire()
                self._queued, self._turn = None, turn
            await app(self.scope, self._receive, self._send)
        except Exception:
            log.exception("The application failed")
        finally:
            self._end_turn()
        if self._done or self._left:
            return
        if self._begun:
            self._channel.abort()
        else:
            self._channel.refuse(internal_error())

    def _end_turn(self) -> None:
        if self._turn is not None:
            asyncio.get_running_loop().call_later(UNTRUSTED_PAUSE_S, self._turn.release)
            self._turn = None

    def wake(self) -> None:
        """Something came in."""
        self._wake.set()

    def leave(self) -> None:
        """The client went away."""
        self._left = True
        if self._queued is not None:
            self._queued.cancel()  # those who come and go must not pile up there
        self._wake.set()

    async def _receive(self) -> Message:
        if self._channel.awaits_continue and not self._left:
            self._channel.send(h11.InformationalResponse(status_code=100, headers=[]))
        while not (self._left or self._done):
            self._wake.clear()
            if not self._received and (message := self._next_part()) is not None:
                await asyncio.sleep(0)  # a body of many small parts is not read in one go
                return message
            await self._wake.wait()
        return {"type": "http.disconnect"}

    def _next_part(self) -> Message | None:
        try:
            part = self._channel.body()
        except h11.RemoteProtocolError:
            self._channel.refuse(InvalidRequest("The request's body is not valid HTTP"))
            return None
        if part is None:
            return None
        data, more = part
        self._received = not more
        self._size += len(data)
        if self._size > MAX_BODY_BYTES:  # Quart from 0.23 on looks only when all of it is there
            self._channel.refuse(PayloadTooLarge("The request's body is too large"))
            return None
        return {"type": "http.request", "body": data, "more_body": more}

    async def _send(self, message: Message) -> None:
        self._end_turn()
        if self._left or self._done:
            return
        if message["type"] == "http.response.start":
            self._head = message
        elif message["type"] == "http.response.body" and self._head is not None:
            await self._send_body(message.get("body", b""), last=not message.get("more_body"))
        elif message["type"] == STREAM and self._request.method == b"HEAD":
            await self._send_body(b"", last=True)
        elif message["type"] == STREAM:
            self._done = self._begun = True
            self._wake.set()
            self._channel.stream(self._response((b"connection", b"close")), message["feed"])

    async def _send_body(self, body: bytes, last: bool) -> None:
        assert self._head is not None
        status: int = self._head["status"]
        events: list[h11.Event] = []
        if not self._begun:
            if not self._received and self._next_part() is None and self._left:
                return
            ends = [(b"connection", b"close")] if self._channel.last_reply else []
            events.append(self._response(*ends))
        if body and self._request.method != b"HEAD" and status not in _BODILESS:
            events.append(h11.Data(data=body))
        if last:
            events.append(h11.EndOfMessage())
        parts = self._channel.encoded(events)
        self._begun = True
        await self._channel.write(parts)
        if last:
            self._done = True
            self._wake.set()  # applications wait for the end of the request before they return
            self._channel.finished()

    def _response(self, *more: tuple[bytes, bytes]) -> h11.Response:
        assert self._head is not None
        headers = [*self._head.get("headers", ()), *more]
        return h11.Response(status_code=self._head["status"], headers=headers)
