"""A client of the events, and the state that it has by them."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from quart import Quart

from backy_core.api.server.limits import Limits
from backy_core.api.server.server import Server
from tests.http.fake_agent import KEY

_PATIENCE_S = 10.0


class Event(NamedTuple):
    """An event, or a comment, which has no name and no id."""

    name: str
    data: Any
    id: str = ""


HEARTBEAT = Event("", ": heartbeat")


class Mirror:
    """What a client knows that follows the events."""

    def __init__(self) -> None:
        self.operations: dict[str, Any] = {}
        self.pools: dict[str, Any] = {}
        self.drives: dict[str, Any] = {}

    def take(self, event: Event) -> None:
        data = event.data
        match event.name:
            case "snapshot":
                self.operations = {op["id"]: op for op in data["operations"]}
                self.pools = {pool["poolGroupGuid"]: pool for pool in data["pools"]}
                self.drives = {drive["name"]: drive for drive in data["drives"]["blockdevices"]}
            case "operation":
                self.operations[data["id"]] = data
            case "pool":
                self.pools[data["poolGroupGuid"]] = data
            case "drive":
                self.drives[data["name"]] = data
            case "operation-removed":
                del self.operations[data["id"]]
            case "pool-removed":
                del self.pools[data["poolGroupGuid"]]
            case "drive-removed":
                del self.drives[data["name"]]


class Follower:
    """One open stream of events."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self._text = b""
        self._chunked = False
        self.status = 0
        self.head = ""
        self.last_id = ""

    async def begin(self) -> None:
        head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), _PATIENCE_S)
        self.head = head.decode().lower()
        self.status = int(head.split()[1])
        self._chunked = "transfer-encoding: chunked" in self.head

    async def next(self) -> Event:
        """The next event, or a comment that is no heartbeat. Raises EOFError at the end."""
        while (event := await self.block()) == HEARTBEAT:
            pass
        return event

    async def block(self) -> Event:
        """As :meth:`next`, heartbeats too."""
        async with asyncio.timeout(_PATIENCE_S):
            while b"\n\n" not in self._text:
                self._text += await self._part()
        block, _, self._text = self._text.partition(b"\n\n")
        if block.startswith(b":"):
            return Event("", block.decode())
        fields = dict(line.split(": ", 1) for line in block.decode().splitlines())
        self.last_id = fields["id"]
        return Event(fields["event"], json.loads(fields["data"]), fields["id"])

    async def until(self, *names: str) -> list[Event]:
        """All events up to the first one of such a name."""
        events = [await self.next()]
        while events[-1].name not in names:
            events.append(await self.next())
        return events

    async def ended(self) -> bool:
        try:
            while await asyncio.wait_for(self._reader.read(1 << 16), _PATIENCE_S):
                pass
        except ConnectionError:
            pass
        return True

    async def _part(self) -> bytes:
        if not self._chunked:
            part = await self._reader.read(1 << 16)
        else:
            size = int((await self._reader.readuntil(b"\r\n"))[:-2], 16)
            part = (await self._reader.readexactly(size + 2))[:-2]
        if not part:
            raise EOFError
        return part


class Site:
    """An application behind the real server."""

    def __init__(self, app: Quart, limits: Limits) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self.server = Server(app, limits, trusts=lambda _: True)
        self.server.listen(listener)

    async def follow(
        self,
        last_id: str = "",
        version: str = "1.1",
        key: str = KEY,
        by: dict[str, str] | None = None,
    ) -> Follower:
        """``by``: header fields that stand for the key."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        fields = {"Host": "localhost", **(by or {"X-Api-Key": key})}
        if last_id:
            fields["Last-Event-ID"] = last_id
        lines = [f"GET /api/v1/events HTTP/{version}", *(f"{k}: {v}" for k, v in fields.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        follower = Follower(reader, writer)
        await follower.begin()
        return follower


@asynccontextmanager
async def served(app: Quart, limits: Limits | None = None) -> AsyncIterator[Site]:
    site = Site(app, limits or Limits())
    yield site
    if not site.server.closing:
        await site.server.close(1)
