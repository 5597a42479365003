"""The accept loop, and who is let go when there are too many."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress

from backy_core.api.errors import Overloaded
from backy_core.api.server.connection import Connection, Fields, Stage
from backy_core.api.server.exchange import App, Exchange
from backy_core.api.server.limits import (
    ACCEPTS_PER_TURN,
    BACKLOG,
    CHUNK_BYTES,
    SOCKET_BUFFER_BYTES,
    UNTRUSTED_AT_WORK,
    Limits,
)
from backy_core.api.server.targets import Hosts
from backy_core.api.server.tls import Certificate
from backy_core.logs import Repeated

_SWEEP_S = 0.25
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE_S = 0.2
"""How long nobody is accepted after descriptors ran out."""
_ABORT_S = 1.0

log = logging.getLogger(__name__)


class Server:
    """Serves an ASGI application on listening sockets, within limits."""

    def __init__(
        self,
        app: App,
        limits: Limits | None = None,
        hosts: Hosts | None = None,
        trusts: Callable[[Fields], bool] = lambda _: False,
        certificate: Certificate | None = None,
    ) -> None:
        """``trusts`` tells from a request's header fields whether it carries the key. With a
        ``certificate``, TCP clients speak TLS."""
        self.trusts = trusts
        self.limits = limits or Limits()
        self.hosts = hosts or Hosts()
        self.closing = False
        self.buffer = memoryview(bytearray(CHUNK_BYTES))
        self._app = app
        self._certificate = certificate
        self._connections: dict[Connection, None] = {}
        """Oldest first."""
        self._unfinished: dict[Connection, None] = {}
        """Those of them that have yet to send the whole of a request."""
        self._handshakes: dict[asyncio.Task[None], None] = {}
        """Of TLS, oldest first. Their clients are not connections yet."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._nobody = asyncio.Event()
        self._nobody.set()
        self._listeners: list[socket.socket] = []
        self._of_root: socket.socket | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._turn = asyncio.Semaphore(UNTRUSTED_AT_WORK)
        self._loop = asyncio.get_running_loop()
        self._out_of_descriptors = Repeated(log, logging.WARNING)
        self._crowded = Repeated(log, logging.WARNING)

    def listen(self, *listeners: socket.socket) -> None:
        """Accept clients on ``listeners``, which become the server's."""
        for listener in listeners:
            listener.setblocking(False)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                listener.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
            listener.listen(BACKLOG)
            self._listeners.append(listener)
            self._loop.add_reader(listener, self._accept, listener)

    def listen_to_root(self, listener: socket.socket) -> None:
        """Accept clients without a key on this Unix socket, if they are root's."""
        self._of_root = listener
        self.listen(listener)

    async def close(self, grace_s: float) -> None:
        """End all connections; requests that run may be answered within ``grace_s``."""
        self.closing = True
        for listener in self._listeners:
            self._loop.remove_reader(listener)
            listener.close()
        for connection in tuple(self._connections):
            connection.finish_soon()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._nobody.wait()
        for connection in tuple(self._connections):
            connection.transport.abort()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_ABORT_S)

    # clients

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                client, _address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._cannot_accept(listener, error)
                return
            client.setblocking(False)
            uid = _uid_of(client) if listener is self._of_root else None
            if self._certificate is None or client.family == socket.AF_UNIX:
                self._keep(self._loop.create_task(self._connect(client, uid)))
            else:
                self._shake_hands(client, self._certificate)

    async def _connect(self, client: socket.socket, uid: int | None) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: Connection(self, uid), client)
        except OSError:
            client.close()

    def _shake_hands(self, client: socket.socket, certificate: Certificate) -> None:
        """Begin TLS. The oldest handshake ends if there are too many."""
        if len(self._handshakes) >= self.limits.unfinished:
            next(iter(self._handshakes)).cancel()
        task = self._keep(self._loop.create_task(self._connect_by_tls(client, certificate)))
        self._handshakes[task] = None
        task.add_done_callback(lambda done: self._handshakes.pop(done, None))

    async def _connect_by_tls(self, client: socket.socket, certificate: Certificate) -> None:
        try:
            await self._loop.connect_accepted_socket(
                lambda: Connection(self),
                client,
                ssl=await certificate.context(),
                ssl_handshake_timeout=self.limits.head_s,
                ssl_shutdown_timeout=self.limits.linger_s,
            )
        except OSError:  # among them ssl.SSLError: a client that speaks plain HTTP, say
            client.close()
        except asyncio.CancelledError:
            client.close()
            raise

    def _cannot_accept(self, listener: socket.socket, error: OSError) -> None:
        """Let one go, and look away for a moment: the listener stays readable."""
        if error.errno not in _EXHAUSTED:
            self._crowded("A client could not be accepted: %s", error.strerror)
            return
        self._out_of_descriptors("No more clients can be accepted: %s", error.strerror)
        self._displace()
        self._loop.remove_reader(listener)
        self._loop.call_later(_PAUSE_S, self._accept_again, listener)

    def _accept_again(self, listener: socket.socket) -> None:
        if not self.closing:
            self._loop.add_reader(listener, self._accept, listener)

    def admit(self, connection: Connection) -> None:
        """Take in a new client; another one goes if there are too many."""
        self._connections[connection] = None
        self._unfinished[connection] = None
        self._nobody.clear()
        if len(self._unfinished) > self.limits.unfinished:
            self._drop(next(iter(self._unfinished)))
        elif len(self._connections) > self.limits.connections and not self._displace(connection):
            self._crowded("A client was refused: %s requests are running", len(self._connections))
            connection.refuse(Overloaded("Too many requests are running", hint="Try again"))
        if self._sweeping is None:
            self._sweep()

    def dismiss(self, connection: Connection) -> None:
        """It has ended."""
        self._connections.pop(connection, None)
        self.finished_asking(connection)
        if not self._connections:
            self._nobody.set()

    def finished_asking(self, connection: Connection) -> None:
        """It has sent a whole request."""
        self._unfinished.pop(connection, None)

    def has_room_for_stream(self) -> bool:
        """Whether one more reply without an end leaves connections for requests."""
        streams = sum(connection.stage is Stage.STREAM for connection in self._connections)
        return not self.closing and streams < self.limits.streams

    def _displace(self, newest: Connection | None = None) -> bool:
        """Drop whoever is missed the least, if it is not ``newest``."""
        chosen = next(
            (connection for connection in self._by_worth() if connection is not newest), None
        )
        if chosen is not None:
            self._drop(chosen)
        return chosen is not None

    def _drop(self, connection: Connection) -> None:
        self.dismiss(connection)  # now: it would be counted until the loop's next turn
        connection.transport.abort()

    def _by_worth(self) -> Iterator[Connection]:
        """Those who only have to leave, who asked without the key, who have not asked yet, and
        who had their answer.
        """
        kinds: tuple[Callable[[Connection], bool], ...] = (
            lambda connection: connection.stage is Stage.LEAVING,
            lambda connection: not connection.trusted and connection not in self._unfinished,
            lambda connection: connection in self._unfinished,
            lambda connection: not connection.waited_for,
        )
        for kind in kinds:
            chosen = [connection for connection in self._connections if kind(connection)]
            yield from sorted(chosen, key=lambda connection: connection.deadline)

    def _sweep(self) -> None:
        """End what has had its time, as long as there is anyone."""
        now = self._loop.time()
        for connection in [
            connection for connection in self._connections if connection.deadline <= now
        ]:
            connection.give_up()
        more = bool(self._connections)
        self._sweeping = self._loop.call_later(_SWEEP_S, self._sweep) if more else None

    # their requests

    def run(self, exchange: Exchange, trusted: bool) -> None:
        """Start to answer, or wait for those without the key who came before."""
        turn = None if trusted else self._turn
        self._keep(self._loop.create_task(exchange.run(self._app, turn)))

    def _keep(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        self._tasks.add(task)  # the event loop itself keeps only weak references
        task.add_done_callback(self._tasks.discard)
        return task


def _uid_of(client: socket.socket) -> int:
    """The user that connected, as the kernel has it: `unix(7)`, SO_PEERCRED."""
    credentials = struct.Struct("3i")  # pid, uid, gid
    read = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size)
    return int(credentials.unpack(read)[1])
