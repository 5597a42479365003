"""The client for programs that run an asyncio event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from backy_core.client import calls
from backy_core.client.address import Address
from backy_core.client.calls import Call
from backy_core.client.errors import ApiError, ClientError, Unreachable, reaching
from backy_core.client.events import AGAIN_AFTER_S, SILENCE_S, Event, EventReader
from backy_core.client.exchange import Answer, Exchange
from backy_core.client.patience import ENDED, RESEND_AFTER_S, pauses, worth_sending_again

if TYPE_CHECKING:
    from backy_core.client.replies import PoolDetail

T = TypeVar("T")
_CHUNK = 65536


class AsyncClient:
    """As :class:`backy_core.client.sync.Client`; calls may run side by side."""

    def __init__(
        self,
        address: Address,
        key: str = "",
        *,
        resends: bool = False,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.address = address
        self._key = key
        self._pauses = RESEND_AFTER_S if resends else ()
        self._sleep = sleep

    async def send(self, call: Call[T]) -> T:
        """The reply's body. Raises :class:`ApiError` or :class:`Unreachable`."""
        return (await self.ask(call)).body

    async def ask(self, call: Call[T]) -> Answer[T]:
        """As :meth:`send`, with what stands around the body."""
        for pause in self._pauses if call.changes else ():
            try:
                return await self._once(call)
            except ClientError as error:
                if not worth_sending_again(error):
                    raise
            await self._sleep(pause)
        return await self._once(call)

    async def wait_for_pool(self, guid: str) -> PoolDetail | None:
        """Poll a new pool until it is ready, failed or in error; None after 60 times."""
        for pause in pauses():
            await self._sleep(pause)
            with suppress(ApiError, Unreachable):
                if (pool := await self.send(calls.show_pool(guid)))["state"] in ENDED:
                    return pool
        return None

    async def events(self, last_id: str = "") -> AsyncIterator[Event]:
        """As :meth:`backy_core.client.sync.Client.events`."""
        connected = False
        while True:
            try:
                async for event in self._events_once(last_id):
                    last_id, connected = event.id or last_id, True
                    yield event
            except Unreachable:
                if not connected:
                    raise
            await self._sleep(AGAIN_AFTER_S)

    async def _events_once(self, last_id: str) -> AsyncIterator[Event]:
        events = EventReader(self.address, self._key, last_id)
        with reaching(self.address, SILENCE_S):
            reader, writer = await self._connected()
            try:
                writer.write(events.request)
                while True:
                    async with asyncio.timeout(SILENCE_S):
                        data = await reader.read(_CHUNK)
                    for event in events.receive(data):
                        yield event
            finally:
                writer.close()

    async def _once(self, call: Call[T]) -> Answer[T]:
        with reaching(self.address, call.timeout_s):
            async with asyncio.timeout(call.timeout_s):
                return await self._exchanged(call)

    async def _exchanged(self, call: Call[T]) -> Answer[T]:
        exchange = Exchange(call, self.address, self._key)
        reader, writer = await self._connected()
        try:
            writer.write(exchange.request)
            await writer.drain()
            while (answer := exchange.receive(await reader.read(_CHUNK))) is None:
                pass
            return answer
        finally:
            writer.close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        address = self.address
        if address.path:
            return await asyncio.open_unix_connection(address.path)
        return await asyncio.open_connection(address.host, address.port, ssl=address.tls or None)
