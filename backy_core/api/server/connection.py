"""One client's connection: where it stands, and until when it may stand there."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import Enum, auto
from typing import Protocol, cast

import h11

from backy_core.api.errors import Forbidden, HeadersTooLarge, Overloaded, error_body
from backy_core.api.server.exchange import Exchange
from backy_core.api.server.limits import (
    CHUNK_BYTES,
    MAX_FIELDS,
    MAX_HEAD_BYTES,
    MAX_PARTS,
    Limits,
)
from backy_core.api.server.streams import Feed, Stream
from backy_core.api.server.targets import Hosts, origin_form
from backy_core.sdk.errors import BackyError, InvalidRequest

Fields = Iterable[tuple[bytes, bytes]]


class Stage(Enum):
    """The stage of a connection: the event it waits for."""

    HEAD = auto()
    BODY = auto()
    ANSWER = auto()
    STREAM = auto()
    IDLE = auto()
    LEAVING = auto()


class Supervisor(Protocol):
    """The server, as far as a connection uses it."""

    limits: Limits
    hosts: Hosts
    closing: bool
    buffer: memoryview
    """Shared by all connections: each takes its bytes out before the next one reads."""

    @property
    def trusts(self) -> Callable[[Fields], bool]: ...
    def admit(self, connection: Connection, /) -> None: ...
    def dismiss(self, connection: Connection, /) -> None: ...
    def finished_asking(self, connection: Connection, /) -> None: ...
    def has_room_for_stream(self) -> bool: ...
    def run(self, exchange: Exchange, /, trusted: bool) -> None: ...


class Connection(asyncio.BufferedProtocol):
    """Reads requests one after the other and has each answered. Holds no timers: the server
    looks at ``deadline``.
    """

    transport: asyncio.Transport

    def __init__(self, server: Supervisor, uid: int | None = None) -> None:
        """``uid``: the client's user, at the socket that is root's alone."""
        self.stage = Stage.HEAD
        self.answered = 0
        self.uid = uid
        self.trusted = uid == 0
        """Whether it has sent the key, or is root."""
        self.stalled_until: float | None = None
        self.peer: tuple[str, int] | None = None
        self.local: tuple[str, int] | None = None
        self.scheme = "http"
        self.http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._server = server
        self._exchange: Exchange | None = None
        self._stream: Stream | None = None
        self._end_feed: Callable[[], None] = lambda: None
        self._method = b""
        self._deadline = 0.0
        self._loop = asyncio.get_running_loop()
        self._writable = asyncio.Event()
        self._writable.set()
        self._enter(Stage.HEAD, server.limits.head_s)

    # what the server asks

    @property
    def deadline(self) -> float:
        """When it is given up, by the loop's clock."""
        return min(self._deadline, self.stalled_until or self._deadline)

    @property
    def waited_for(self) -> bool:
        """Whether somebody with the key waits for an answer, and takes it."""
        at_work = self.stage in (Stage.BODY, Stage.ANSWER, Stage.STREAM)
        return self.trusted and at_work and self.stalled_until is None

    def give_up(self) -> None:
        """Its time is over."""
        if self.stage is Stage.HEAD and self.http.trailing_data[0]:
            self.refuse(InvalidRequest("The request did not arrive in time"))
        elif self.stage is Stage.BODY and self.http.our_state is h11.SEND_RESPONSE:
            self.refuse(InvalidRequest("The request's body did not arrive in time"))
        else:
            self.transport.abort()

    def finish_soon(self) -> None:
        """Close now, or as soon as the running request is answered."""
        if self._stream is not None:
            self._stream.end()
        elif self.stage in (Stage.HEAD, Stage.IDLE):
            self._leave()

    # what asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=CHUNK_BYTES)
        self.peer = _address(self.transport.get_extra_info("peername"))
        self.local = _address(self.transport.get_extra_info("sockname"))
        self.scheme = "http" if self.transport.get_extra_info("ssl_object") is None else "https"
        self._server.admit(self)
        if self.uid not in (None, 0):
            self.refuse(Forbidden("This socket is for root alone"))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._server.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self.stage is Stage.LEAVING:
            return
        if self.stage is Stage.STREAM:
            self.transport.abort()  # no request can follow
            return
        self.http.receive_data(bytes(self._server.buffer[:nbytes]))
        if self._exchange is None:
            self._next_request()
        else:
            self._exchange.wake()
            self.transport.pause_reading()  # until more is asked for

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.dismiss(self)
        self._writable.set()
        if self._exchange is not None:
            self._exchange.leave()
        self._end_feed()

    def pause_writing(self) -> None:
        self._writable.clear()
        if self._stream is not None:
            self._stream.pause()
        self.stalled_until = self._loop.time() + self._server.limits.stalled_s

    def resume_writing(self) -> None:
        self._writable.set()
        self.stalled_until = None
        if self._stream is not None:
            self._stream.resume()

    # requests

    def _next_request(self) -> None:
        if self._exchange is not None or self.stage is Stage.LEAVING:
            return
        try:
            event = self.http.next_event()
        except h11.RemoteProtocolError as error:
            self.refuse(_translated(error))
            return
        if isinstance(event, h11.Request):
            self._begin(event)
        elif event is h11.NEED_DATA:
            if self.stage is Stage.IDLE and self.http.trailing_data[0]:
                self._enter(Stage.HEAD, self._server.limits.head_s)
            self.transport.resume_reading()
        else:
            self._leave()

    def _begin(self, request: h11.Request) -> None:
        self._method = request.method
        try:
            target = self._checked(request)
        except BackyError as error:
            self.refuse(error)
            return
        trusted = self.uid == 0 or self._server.trusts(request.headers)
        self.trusted = self.trusted or trusted
        self._enter(Stage.BODY, self._server.limits.body_s)
        self._exchange = Exchange(self, request, target)
        self._server.run(self._exchange, trusted)
        if not self.http.trailing_data[0]:
            self.transport.resume_reading()  # or a client that leaves would not be noticed

    def _checked(self, request: h11.Request) -> bytes:
        """The path with the query of a request that may be answered."""
        if len(request.headers) > MAX_FIELDS:
            raise HeadersTooLarge(f"The request has more than {MAX_FIELDS} header fields")
        if request.http_version not in (b"1.0", b"1.1"):
            raise InvalidRequest("Only HTTP/1.1 is supported")
        target, authority = origin_form(request.target)
        if self.uid is not None:  # no web page makes a browser come here
            return target
        if authority is None:
            named = [value for name, value in request.headers if name == b"host"]
            authority = named[0].decode("latin-1") if named else None
        if authority is not None:  # HTTP/1.0 need not name a host, and no browser speaks it
            self._server.hosts.check(authority, self.local[0] if self.local else None)
        return target

    def body(self) -> tuple[bytes, bool] | None:
        """The next part of the body, and whether more will follow; None if none has arrived.

        Raises :class:`h11.RemoteProtocolError`.
        """
        parts: list[bytes] = []
        for _ in range(MAX_PARTS):
            event = self.http.next_event()
            if isinstance(event, h11.Data):
                parts.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                self._server.finished_asking(self)
                self._enter(Stage.ANSWER, None)
                return b"".join(parts), False
            else:
                self.transport.resume_reading()
                break
        return (b"".join(parts), True) if parts else None

    # replies

    @property
    def awaits_continue(self) -> bool:
        """Whether the client sends the body only after it was told to go on."""
        return self.http.they_are_waiting_for_100_continue

    def abort(self) -> None:
        """End the connection without a reply, or in the middle of one."""
        self.transport.abort()

    @property
    def last_reply(self) -> bool:
        """Whether the connection must end with the reply that begins now."""
        full = self.answered + 1 >= self._server.limits.requests
        return full or self._server.closing or self.http.their_state is not h11.DONE

    def encoded(self, events: Iterable[h11.Event]) -> list[bytes]:
        """As sent. Large bodies are not copied: many clients may wait for the same one."""
        parts: list[bytes] = []
        for event in events:
            parts += self.http.send_with_data_passthrough(event) or ()
        return parts if sum(map(len, parts)) > CHUNK_BYTES else [b"".join(parts)]

    def send(self, *events: h11.Event) -> None:
        """Write events that fit into a buffer at once."""
        if not self.transport.is_closing():
            self.transport.writelines(self.encoded(events))

    async def write(self, parts: Iterable[bytes]) -> None:
        """Write as fast as the client reads."""
        for part in parts:
            for start in range(0, len(part), CHUNK_BYTES):
                await self._writable.wait()
                if self.transport.is_closing():
                    return
                self.transport.write(part[start : start + CHUNK_BYTES])
        await self._writable.wait()

    def stream(self, head: h11.Response, feed: Feed) -> None:
        """Begin a reply without an end, which ``feed`` sends; the exchange is over."""
        if not self._server.has_room_for_stream():
            self.refuse(Overloaded("Too many clients follow events", hint="Try again later"))
            return
        self.send(head)
        self._exchange = None
        self._enter(Stage.STREAM, None)
        if self.peer is not None:  # or a peer that vanished would be kept for a quarter of an hour
            patience_ms = int(self._server.limits.stalled_s * 1000)
            tcp: socket.socket = self.transport.get_extra_info("socket")
            tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience_ms)
        chunked = self.http.their_http_version != b"1.0"
        self._stream = Stream(self.transport, chunked=chunked)
        self._end_feed = feed(self._stream)

    def refuse(self, error: BackyError) -> None:
        """Answer what cannot reach the application, and close."""
        status, body = error_body(error)
        if self.http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = [
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(body))),
                ("Connection", "close"),
            ]
            content = () if self._method == b"HEAD" else (h11.Data(data=body),)
            response = h11.Response(status_code=status, headers=headers)
            self.send(response, *content, h11.EndOfMessage())
        if self._exchange is not None:
            self._exchange.leave()
        # What is on its way when the socket closes would reset it, and take the reply along.
        self._leave(still_sends=self.http.their_state is h11.IDLE)

    def finished(self) -> None:
        """The reply is complete."""
        self._exchange = None
        self.answered += 1
        if self.transport.is_closing() or self.stage is Stage.LEAVING:
            return
        if self.http.our_state is not h11.DONE or self.http.their_state is not h11.DONE:
            self._leave()
            return
        self.http.start_next_cycle()
        self._enter(Stage.IDLE, self._server.limits.idle_s)
        self._loop.call_soon(self._next_request)  # after the others had their turn

    def _leave(self, *, still_sends: bool = False) -> None:
        """End the connection so that a client which still sends can read its reply."""
        if self.stage is Stage.LEAVING or self.transport.is_closing():
            return
        still_sends = still_sends or self.http.their_state in (h11.SEND_BODY, h11.ERROR)
        self._enter(Stage.LEAVING, self._server.limits.linger_s)
        if still_sends or self.http.trailing_data[0]:
            if self.transport.can_write_eof():  # not over TLS
                with suppress(OSError):  # the client may be gone already
                    self.transport.write_eof()
            self.transport.resume_reading()
        else:
            self.transport.close()

    def _enter(self, stage: Stage, seconds: float | None) -> None:
        self.stage = stage
        self._deadline = float("inf") if seconds is None else self._loop.time() + seconds


def _address(name: object) -> tuple[str, int] | None:
    """Of a TCP socket; Unix sockets have none."""
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else None


def _translated(error: h11.RemoteProtocolError) -> BackyError:
    if error.error_status_hint == 431:
        return HeadersTooLarge(f"The request's head is larger than {MAX_HEAD_BYTES} bytes")
    return InvalidRequest("The request is not valid HTTP")
