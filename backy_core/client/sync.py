"""The client for programs that wait."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from backy_core.client import calls
from backy_core.client.address import Address
from backy_core.client.calls import Call
from backy_core.client.errors import ApiError, ClientError, Unreachable, reaching
from backy_core.client.exchange import Answer, Exchange
from backy_core.client.patience import ENDED, RESEND_AFTER_S, pauses, worth_sending_again

if TYPE_CHECKING:
    from backy_core.client.events import Event
    from backy_core.client.replies import PoolDetail

T = TypeVar("T")
_CHUNK = 65536


class Client:
    """Calls of one agent, each on a connection of its own."""

    def __init__(
        self,
        address: Address,
        key: str = "",
        *,
        resends: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``resends``: send a changing call up to three times more, as the app does."""
        self.address = address
        self._key = key
        self._pauses = RESEND_AFTER_S if resends else ()
        self._sleep = sleep

    def send(self, call: Call[T]) -> T:
        """The reply's body. Raises :class:`ApiError` or :class:`Unreachable`."""
        return self.ask(call).body

    def ask(self, call: Call[T]) -> Answer[T]:
        """As :meth:`send`, with what stands around the body."""
        for pause in self._pauses if call.changes else ():
            try:
                return self._once(call)
            except ClientError as error:
                if not worth_sending_again(error):
                    raise
            self._sleep(pause)
        return self._once(call)

    def wait_for_pool(self, guid: str) -> PoolDetail | None:
        """Poll a new pool until it is ready, failed or in error; None after 60 times."""
        for pause in pauses():
            self._sleep(pause)
            with suppress(ApiError, Unreachable):
                if (pool := self.send(calls.show_pool(guid)))["state"] in ENDED:
                    return pool
        return None

    def events(self, last_id: str = "") -> Iterator[Event]:
        """Follow what changes, from a snapshot or from the event ``last_id`` on, without an end.

        A connection that is lost is made again, and goes on where it was; the first one raises
        :class:`Unreachable`.
        """
        from backy_core.client.events import AGAIN_AFTER_S

        connected = False
        while True:
            try:
                for event in self._events_once(last_id):
                    last_id, connected = event.id or last_id, True
                    yield event
            except Unreachable:
                if not connected:
                    raise
            self._sleep(AGAIN_AFTER_S)

    def _events_once(self, last_id: str) -> Iterator[Event]:
        from backy_core.client.events import SILENCE_S, EventReader

        reader = EventReader(self.address, self._key, last_id)
        with reaching(self.address, SILENCE_S), self._connected(SILENCE_S) as connection:
            connection.sendall(reader.request)
            while True:
                yield from reader.receive(connection.recv(_CHUNK))

    def _once(self, call: Call[T]) -> Answer[T]:
        exchange = Exchange(call, self.address, self._key)
        with reaching(self.address, call.timeout_s), self._connected(call.timeout_s) as connection:
            connection.sendall(exchange.request)
            while (answer := exchange.receive(connection.recv(_CHUNK))) is None:
                pass
            return answer

    def _connected(self, timeout_s: float) -> socket.socket:
        address = self.address
        if not address.path:
            connection = socket.create_connection((address.host, address.port), timeout_s)
            return _encrypted(connection, address.host) if address.tls else connection
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout_s)
        try:
            connection.connect(address.path)
        except OSError:
            connection.close()
            raise
        return connection


def _encrypted(connection: socket.socket, host: str) -> socket.socket:
    import ssl

    try:
        return ssl.create_default_context().wrap_socket(connection, server_hostname=host)
    except OSError:
        connection.close()
        raise
